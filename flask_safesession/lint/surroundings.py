"""The names that web frameworks, queues, threads and network libraries give to what the rules look for."""

from __future__ import annotations

import re

# --- ends of a program or request

RAISING_CALLS = frozenset(
    {
        "abort",
        "flask.abort",
        "werkzeug.exceptions.abort",
        "flask_restful.abort",
        "flask_restx.abort",
        "flask_smorest.abort",
        "sys.exit",
        "exit",
        "quit",
        "os._exit",
        "os.abort",
        "pytest.fail",
        "pytest.skip",
        "six.reraise",
        "typer.Exit",
    }
)
RAISING_METHODS = frozenset(
    {"abort", "exit", "retry", "fail", "raise_for_status", "with_traceback", "assert_never"}
)

# --- waiting

SLOW_CALLS = re.compile(
    r"^(?:time\.sleep|asyncio\.sleep|gevent\.sleep|eventlet\.sleep|anyio\.sleep|trio\.sleep"
    r"|(?:requests|httpx|niquests)\.(?:get|post|put|patch|delete|head|options|request|stream)"
    r"|urllib\.request\.(?:urlopen|urlretrieve)|urllib3\..*\.request"
    r"|subprocess\.(?:run|call|check_call|check_output|getoutput|getstatusoutput|Popen\.communicate|Popen\.wait)|os\.system"
    r"|asyncio\.create_subprocess_(?:exec|shell)"
    r"|openai\.[A-Za-z]*\.create|smtplib\.SMTP(?:_SSL)?(?:\.(?:send_message|sendmail|quit|login|connect))?"
    r"|flask_mail\.Mail\.send|paramiko\..*\.(?:exec_command|connect)"
    r"|stripe\.[A-Za-z.]+\.(?:create|modify|retrieve|delete|list|confirm|capture|cancel)"
    r"|socket\.create_connection|ftplib\..*)$"
)
# Objects whose every call of these methods goes over the network.
SLOW_CLASSES: dict[str, frozenset[str]] = {
    "requests.Session": frozenset(
        {"get", "post", "put", "patch", "delete", "head", "request", "send"}
    ),
    "requests.session": frozenset(
        {"get", "post", "put", "patch", "delete", "head", "request", "send"}
    ),
    "httpx.Client": frozenset({"get", "post", "put", "patch", "delete", "head", "request", "send"}),
    "httpx.AsyncClient": frozenset(
        {"get", "post", "put", "patch", "delete", "head", "request", "send"}
    ),
    "aiohttp.ClientSession": frozenset(
        {"get", "post", "put", "patch", "delete", "head", "request"}
    ),
    "subprocess.Popen": frozenset({"communicate", "wait"}),
    "smtplib.SMTP": frozenset({"sendmail", "send_message", "login", "quit", "connect"}),
    "smtplib.SMTP_SSL": frozenset({"sendmail", "send_message", "login", "quit", "connect"}),
    "flask_mail.Mail": frozenset({"send"}),
    "ftplib.FTP": frozenset({"storbinary", "retrbinary", "login"}),
    "paramiko.SSHClient": frozenset({"connect", "exec_command"}),
}
# Method names that say it themselves, whatever they are called on.
SLOW_METHODS = frozenset(
    {
        "chat_completion",
        "chat_completions",
        "upload_file",
        "upload_fileobj",
        "upload_blob",
        "upload_from_file",
        "upload_from_filename",
        "upload_from_string",
        "download_file",
        "download_fileobj",
        "download_to_filename",
        "put_object",
        "get_object",
        "send_email",
        "send_mail",
        "send_raw_email",
        "send_message",
        "sendmail",
        "generate_content",
        "urlopen",
        "Upload",
        "uploadFile",
    }
)
SLOW_CLIENTS = frozenset({"boto3.client", "boto3.resource", "boto3.session.Session"})
OPENAI_TAILS = (
    ".completions.create",
    ".messages.create",
    ".responses.create",
    ".embeddings.create",
    ".images.generate",
)

# --- queues, threads and tasks

TASK_METHODS = frozenset(
    {"delay", "apply_async", "send_task", "delay_on_commit", "apply_async_on_commit"}
)
QUEUE_METHODS = frozenset(
    {
        "enqueue",
        "enqueue_call",
        "enqueue_in",
        "enqueue_at",
        "enqueue_many",
        "send_with_options",
        "send_message_with_options",
    }
)
ON_COMMIT = frozenset({"delay_on_commit", "apply_async_on_commit"})

THREADS = frozenset(
    {
        "threading.Thread",
        "Thread",
        "multiprocessing.Process",
        "multiprocessing.context.Process",
        "gevent.Greenlet",
    }
)
TIMERS = frozenset({"threading.Timer"})
EXECUTORS = frozenset(
    {
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.ProcessPoolExecutor",
        "concurrent.futures.thread.ThreadPoolExecutor",
        "concurrent.futures.process.ProcessPoolExecutor",
        "multiprocessing.pool.ThreadPool",
        "multiprocessing.pool.Pool",
        "multiprocessing.Pool",
        "multiprocessing.dummy.Pool",
        "gevent.pool.Pool",
        "flask_executor.Executor",
    }
)
EXECUTOR_NAME = re.compile(r"(?:executor|pool|thread_?pool)$", re.IGNORECASE)
SCHEDULER_NAME = re.compile(r"(?:scheduler|sched)$", re.IGNORECASE)
BACKGROUND_NAME = re.compile(r"(?:background_?tasks?|bg_?tasks?|tasks)$", re.IGNORECASE)
QUEUE_NAME = re.compile(r"(?:queue|^q|_q)$", re.IGNORECASE)
POOL_METHODS = frozenset(
    {
        "submit",
        "map",
        "imap",
        "imap_unordered",
        "starmap",
        "apply_async",
        "apply",
        "map_async",
        "starmap_async",
    }
)
TASK_STARTERS = frozenset({"asyncio.create_task", "asyncio.ensure_future"})
THREAD_CALLS = frozenset(
    {
        "asyncio.to_thread",
        "anyio.to_thread.run_sync",
        "starlette.concurrency.run_in_threadpool",
        "fastapi.concurrency.run_in_threadpool",
        "gevent.spawn",
        "gevent.spawn_later",
        "eventlet.spawn",
        "eventlet.spawn_n",
        "_thread.start_new_thread",
    }
)

REQUEST_PROXIES = frozenset(
    {
        "flask.request",
        "flask.g",
        "flask.session",
        "flask.current_app",
        "flask_login.current_user",
        "flask_security.current_user",
        "flask_jwt_extended.current_user",
        "flask_login.utils.current_user",
        "quart.request",
        "quart.current_app",
    }
)

# They push a context, which has a managed session of its own.
CONTEXT_PUSHES = frozenset(
    {
        "app_context",
        "test_request_context",
        "request_context",
        "copy_current_request_context",
        "AppContextManager",
        "test_client",
    }
)

# --- entry points

ROUTE_METHODS = frozenset(
    {
        "route",
        "get",
        "post",
        "put",
        "patch",
        "delete",
        "api_route",
        "websocket",
        "expose",
        "resource",
        "view",
    }
)
CHANGING_METHODS = frozenset({"post", "put", "patch", "delete"})
VIEW_METHODS = frozenset(
    {"get", "post", "put", "patch", "delete", "head", "options", "dispatch_request"}
)
VIEW_BASES = re.compile(r"(?:MethodView|Resource|View|Handler|Endpoint|RestApi|BaseApi)$")
TASK_DECORATORS = frozenset(
    {
        "task",
        "shared_task",
        "actor",
        "job",
        "periodic_task",
        "db_task",
        "db_periodic_task",
        "scheduled_job",
        "cron",
        "on_message",
    }
)
COMMAND_DECORATORS = frozenset({"command", "cli_command"})
