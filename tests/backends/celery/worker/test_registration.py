"""Registering: a worker says which tasks it takes, so that gateways offer those."""

import time

from resultstore.dispatch.registrations import Registrations

SOON_S = 30.0


def test_a_worker_registers_its_tasks(app, worker):
    index = app.backend.store.index
    noted = Registrations(index, app.conf.task_default_queue)

    end = time.monotonic() + SOON_S
    while not (tasks := noted.tasks()):
        assert time.monotonic() < end
        time.sleep(0.1)

    assert "worker_app.add" in tasks
    assert not [one for one in tasks if one.startswith("celery.")]
