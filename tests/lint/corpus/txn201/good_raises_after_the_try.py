from app.errors import NotFound
from app.log import log


def find_deployment(session, deployment):
    if deployment.is_gone:
        try:
            session.delete(deployment)
            session.commit()
        except Exception:
            log.exception("deployment %s", deployment.id)
        raise NotFound(deployment.id)
    return deployment
