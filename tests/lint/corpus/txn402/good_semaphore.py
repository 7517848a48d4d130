import asyncio

from sqlalchemy import select

from app.scraper import scrape


async def run(urls, service):
    semaphore = asyncio.Semaphore(3)

    async def one(url):
        async with semaphore:
            return await scrape(url)

    for recipe in await asyncio.gather(*[one(url) for url in urls]):
        service.create(recipe, select(1))
