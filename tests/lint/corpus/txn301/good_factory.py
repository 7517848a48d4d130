from sqlalchemy.orm import sessionmaker


def tenant_session(engine, tenant):
    session = sessionmaker(bind=engine.execution_options(schema_translate_map={None: tenant}))()
    session.info["tenant"] = tenant
    return session
