from openai import OpenAI

from app.extensions import db
from app.models import Ticket

client = OpenAI()


def triage(ticket_id):
    ticket = db.session.get(Ticket, ticket_id)
    answer = client.chat.completions.create(messages=[ticket.text])  # TXN502
    ticket.label = answer.choices[0].text
    db.session.commit()
