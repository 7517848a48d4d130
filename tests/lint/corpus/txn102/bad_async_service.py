from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Account


async def deposit(session: AsyncSession, account_id: int, amount: int) -> None:
    account = await session.get(Account, account_id)
    account.balance += amount
    await session.commit()  # TXN102
