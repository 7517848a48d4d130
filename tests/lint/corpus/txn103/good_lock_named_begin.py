from sqlalchemy import select

from app.animations import Animation


def play(animation: Animation):
    with animation.begin():
        animation.run(select(1))
