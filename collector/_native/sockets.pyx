# cython: language_level=3, boundscheck=False, wraparound=False
"""Sockets and epoll for an event loop, on Linux: calls that do not block keep Python's lock.

The standard ones give it up around every call, for the case that it blocks. Those of an event loop never do, but for the
wait when there is nothing to do: and who gives the lock up beside a thread that computes gets it back no sooner than a
switch interval later, several times for each request (CPython, Python/ceval_gil.c).
"""

import os
import socket

from libc.errno cimport EINTR, errno

cdef extern from "sys/socket.h" nogil:
    ctypedef unsigned int socklen_t
    cdef struct sockaddr:
        pass
    int MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_NONBLOCK
    ssize_t c_recv "recv"(int fd, void *buffer, size_t size, int flags)
    ssize_t c_send "send"(int fd, const void *buffer, size_t size, int flags)
    int c_accept4 "accept4"(int fd, sockaddr *address, socklen_t *size, int flags)
    int c_shutdown "shutdown"(int fd, int how)

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd
    cdef struct epoll_event:
        unsigned int events
        epoll_data_t data
    int EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLL_CLOEXEC
    int c_epoll_create1 "epoll_create1"(int flags)
    int c_epoll_ctl "epoll_ctl"(int epfd, int operation, int fd, epoll_event *event)
    int c_epoll_wait "epoll_wait"(int epfd, epoll_event *events, int events_max, int timeout_ms)

cdef extern from "unistd.h" nogil:
    int c_close "close"(int fd)

cdef enum:
    _PIECE = 64 * 1024  # of one read; asyncio asks for four times as much
    _EVENTS = 1024  # of one turn; what is left comes first in the next

# Of all sockets: it is empty again before anybody else can have Python's lock.
cdef char _buffer[_PIECE]


cdef _raise():
    cdef int number = errno
    raise OSError(number, os.strerror(number))


class Connected(socket.socket):
    """A connection, as its listener made it: it does not block."""

    __slots__ = ()

    def recv(self, size_t size, int flags=0):
        """See `socket.socket`; at most 64 KiB at once: what is read waits for its turn, beside that of everybody else."""
        cdef ssize_t got = c_recv(self.fileno(), _buffer, min(size, _PIECE), flags | MSG_DONTWAIT)
        if got < 0:
            _raise()
        return _buffer[:got]

    def send(self, const unsigned char[::1] data, int flags=0):
        """See `socket.socket`."""
        if not data.shape[0]:
            return 0
        cdef ssize_t sent = c_send(self.fileno(), &data[0], data.shape[0], flags | MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent < 0:
            _raise()
        return sent

    def shutdown(self, int how):
        """See `socket.socket`."""
        if c_shutdown(self.fileno(), how) < 0:
            _raise()

    def close(self):
        """See `socket.socket`; nobody reads it as a file."""
        cdef int fd = self.detach()
        if fd >= 0:
            c_close(fd)

    def setblocking(self, flag):
        """It is as it is."""
        if flag:
            raise ValueError("a connection of an event loop does not block")


class Listening(socket.socket):
    """A listening socket whose connections are `Connected`."""

    __slots__ = ()

    def accept(self):
        """See `socket.socket`; does not block, and leaves the address out."""
        cdef int fd = c_accept4(self.fileno(), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            _raise()
        return Connected(self.family, self.type, self.proto, fd), None


cdef class Epoll:
    """As `select.epoll`, in what `selectors.EpollSelector` uses of it."""

    cdef int _fd
    cdef epoll_event _events[_EVENTS]

    def __cinit__(self):
        self._fd = c_epoll_create1(EPOLL_CLOEXEC)
        if self._fd < 0:
            _raise()

    def __dealloc__(self):
        self.close()

    def fileno(self):
        """See `select.epoll`."""
        return self._fd

    def close(self):
        """See `select.epoll`."""
        if self._fd >= 0:
            c_close(self._fd)
            self._fd = -1

    def register(self, int fd, unsigned int events):
        """See `select.epoll`."""
        self._control(EPOLL_CTL_ADD, fd, events)

    def modify(self, int fd, unsigned int events):
        """See `select.epoll`."""
        self._control(EPOLL_CTL_MOD, fd, events)

    def unregister(self, int fd):
        """See `select.epoll`."""
        self._control(EPOLL_CTL_DEL, fd, 0)

    cdef _control(self, int operation, int fd, unsigned int events):
        cdef epoll_event event
        event.events = events
        event.data.fd = fd
        if c_epoll_ctl(self._fd, operation, fd, &event) < 0:
            _raise()

    def poll(self, double timeout=-1, int events_max=-1):
        """See `select.epoll`; `timeout` in seconds. Python's lock is given up only if nothing is ready."""
        cdef int most = _EVENTS if events_max <= 0 or events_max > _EVENTS else events_max
        cdef int timeout_ms = -1 if timeout < 0 else <int>min(timeout * 1000 + 0.5, 2.0**31 - 1)
        cdef int ready = c_epoll_wait(self._fd, self._events, most, 0)
        cdef int at
        if ready == 0 and timeout_ms != 0:
            with nogil:
                ready = c_epoll_wait(self._fd, self._events, most, timeout_ms)
        if ready < 0:
            if errno == EINTR:
                return []
            _raise()
        return [(self._events[at].data.fd, self._events[at].events) for at in range(ready)]
