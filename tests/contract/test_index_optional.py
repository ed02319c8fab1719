"""Optional interfaces of the index: the Redis driver has them, the memory driver lacks them."""

import inspect

import pytest

from resultstore.index import index as contract
from resultstore.index.index import EarlyAnnouncer, IdChecker, MemoryReporter, ScriptRunner
from resultstore.index.memory.driver import MemoryIndex
from resultstore.index.redis.driver import RedisIndex

OPTIONAL = {ScriptRunner: "keys", EarlyAnnouncer: "events", IdChecker: "", MemoryReporter: ""}


def part(index, interface):
    return getattr(index, OPTIONAL[interface]) if OPTIONAL[interface] else index


@pytest.mark.parametrize("interface", OPTIONAL)
def test_redis_implements_each_optional_interface(redis_url, interface):
    assert isinstance(part(RedisIndex(redis_url), interface), interface)


@pytest.mark.parametrize("interface", OPTIONAL)
def test_one_driver_lacks_each_optional_interface(interface):
    assert not isinstance(part(MemoryIndex(), interface), interface)


def test_only_optional_interfaces_can_be_checked():
    protocols = [one for _, one in inspect.getmembers(contract, inspect.isclass) if getattr(one, "_is_protocol", False)]
    checked = {one for one in protocols if getattr(one, "_is_runtime_protocol", False)}
    assert checked - {contract.Index} == set(OPTIONAL)


def test_redis_runs_scripts_on_its_keys(redis_url):
    keys = RedisIndex(redis_url).keys
    assert keys.run_script("return {#KEYS, ARGV[2]}", keys=["a", "b", "c"], args=["x", "y"]) == [3, b"y"]
