"""What a worker imports: the tasks, and the app in whose contexts they run."""

from shop_tasks import celery
from shop_web import create_app

__all__ = ["celery"]

flask_app = (
    create_app()
)  # not "app": that name is where the celery command looks for the Celery app
