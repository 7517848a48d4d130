"""A consumer whose workers are greenlets: gevent comes before anything else."""

from gevent import monkey

monkey.patch_all()

from tests.contrib.huey_consumer import main  # noqa: E402 - see above

main()
