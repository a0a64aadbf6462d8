"""How many files this process may have open: every connection is one."""

from __future__ import annotations

import resource
from typing import Final

# More than connections, queues and databases ever need. Where there is no limit, that is a number which others count up to.
_FILES_MAX: Final = 65536


def allow_open_files() -> int:
    """Raise the soft limit to the hard one, or to 65536: Linux gives 1024, fewer than `connections_max` allows.

    Returns:
        How many may be open now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _FILES_MAX)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
