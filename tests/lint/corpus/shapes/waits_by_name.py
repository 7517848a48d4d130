from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


import asyncio
import subprocess
from time import sleep

import openai
import requests

client = openai.OpenAI()
process = subprocess.Popen(["true"])

def place():
    item = Item()
    db.session.add(item)
    db.session.flush()
    sleep(0)
    process.kill()
    process.wait()  # TXN502
    client.chat.completions.create(model="x")  # TXN502
    requests.get("https://shop.example")  # TXN502
    db.session.commit()
