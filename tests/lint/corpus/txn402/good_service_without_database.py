import asyncio
import json

from sqlalchemy import select


class Parser:
    async def _ask(self, text):
        return json.loads(text)

    async def parse(self, chunks):
        tasks = []
        for chunk in chunks:
            tasks.append(self._ask(chunk))
        return await asyncio.gather(*tasks), select(1)
