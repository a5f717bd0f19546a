"""The store: measurements that are kept, in a database of the user."""

from vggprof.store.database import store_path
from vggprof.store.runs import Run, add, check, delete, get, list_runs

__all__ = ["Run", "add", "check", "delete", "get", "list_runs", "store_path"]
