"""Sessions in coroutines: imported by the first of them, and needs the extra ``async``."""

from importlib.util import find_spec

if find_spec("greenlet") is None:
    raise ImportError(
        "Async sessions need 'greenlet', which is not installed. Install the extra that brings it: "
        "'pip install flask-safesession[async]'."
    )
