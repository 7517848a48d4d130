from flask_safesession import SafeSession

from app.models import Order

safe = SafeSession()


def place(number):
    with safe.session_manager() as session:
        session.add(Order(number=number))
        session.commit()  # TXN102


async def place_later(number):
    async with safe.session_manager() as session:
        session.add(Order(number=number))
        await session.close()  # TXN102
