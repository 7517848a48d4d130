"""FTP libraries have session factories too."""

import ftplib

import ftputil
from sqlalchemy import create_engine

engine = create_engine("sqlite://")


def listing(host, user, password):
    factory = ftputil.session.session_factory(base_class=ftplib.FTP_TLS)
    remote = ftputil.FTPHost(host, user, password, session_factory=factory)
    return remote.listdir("/")
