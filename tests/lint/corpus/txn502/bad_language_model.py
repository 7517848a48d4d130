from sqlalchemy.orm import Session

from app.models import Incident
from app.plugins import plugin


def summarise(session: Session, incident_id):
    incident = session.get(Incident, incident_id)
    incident.summary = plugin.instance.chat_completion(prompt=incident.text)  # TXN502
    session.add(incident)
    session.commit()
