from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()


def by_place():
    sessions = [SessionLocal(), SessionLocal()]
    try:
        print(len(sessions))
    finally:
        sessions[0].close()
        sessions[1].close()


def until_empty(shards):
    sessions = [SessionLocal() for _ in shards]
    try:
        print(len(shards))
    finally:
        while shards:
            shards.pop()
            sessions.pop().close()


def by_a_comprehension(shards):
    sessions = [SessionLocal() for _ in shards]
    try:
        print(len(shards))
    finally:
        [session.close() for session in sessions]


def by_a_method_of_a_list(shards):
    sessions = list(SessionLocal() for _ in shards)
    try:
        print(len(shards))
    finally:
        for at, session in enumerate(sessions):
            print(at)
            session.close()
