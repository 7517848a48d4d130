import asyncio

import aiohttp
from sqlalchemy import select


async def fetch(urls):
    async with aiohttp.ClientSession() as session:
        return await asyncio.gather(*[session.get(url) for url in urls]), select(1)
