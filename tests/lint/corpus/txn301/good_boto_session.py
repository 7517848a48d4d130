import boto3


def buckets():
    session = boto3.session.Session()
    return session.client("s3").list_buckets()
