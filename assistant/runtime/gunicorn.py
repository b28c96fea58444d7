"""gunicorn's configuration: ASGI workers of uvicorn behind nginx (deploy/). Read by gunicorn, not imported."""

import os

bind = os.environ.get("BIND", "0.0.0.0:8000")  # inside a container or behind nginx
workers = int(os.environ.get("WEB_PROCESSES", "2"))
worker_class = "uvicorn_worker.UvicornWorker"
graceful_timeout = 10
timeout = 60
keepalive = 65
max_requests = 20000
max_requests_jitter = 2000
accesslog = None  # addresses carry ids of answers; the audit log is the record
errorlog = "-"
forwarded_allow_ips = os.environ.get("PROXY_ADDRESSES", "127.0.0.1")
