import git
from sqlalchemy import select


def commit_all(paths):
    for path in paths:
        repo = git.Repo(path)
        repo.index.commit(str(select(1)))
