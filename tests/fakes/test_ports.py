"""Ports for servers that cannot find one themselves."""

import multiprocessing
import socket

from fixtures.ports import own_port


def test_processes_have_ports_of_their_own() -> None:
    """However many ask, and however often."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        others = pool.map(_ports, [40, 40], chunksize=1)
    ports = [*_ports(40), *(port for given in others for port in given)]
    assert len(set(ports)) == len(ports)


def _ports(count: int) -> list[int]:
    return [own_port() for _ in range(count)]


def test_a_port_that_is_taken_is_not_given() -> None:
    """Though it is in the process's own share."""
    given = own_port()
    with socket.create_server(("127.0.0.1", given + 1)):
        assert given + 1 not in _ports(120)
