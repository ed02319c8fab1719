"""The command line of the shipped worker."""

from resultstore.cli.serve import worker_argv


def test_workers_of_one_host_have_different_names():
    names = {argv[argv.index("--hostname") + 1] for argv in (worker_argv(concurrency=1) for _ in range(20))}

    assert len(names) == 20
    assert all(name.endswith("@%h") for name in names)
