"""Suites: the promises of each contract, and the functions that check them all."""

from collections.abc import Callable
from typing import Final

from resultstore.blobs.blobstore import BlobStore
from resultstore.testing import blobs_reading, blobs_writing, multipart
from resultstore.testing.multipart import MultipartDriver
from resultstore.testing.promises import Promise, check_all

READING_PROMISES: Final[tuple[Promise[BlobStore], ...]] = tuple(
    Promise(check)
    for check in (
        blobs_reading.has_every_method,
        blobs_reading.returns_what_was_put,
        blobs_reading.stores_an_empty_blob,
        blobs_reading.stores_chunks_of_every_kind,
        blobs_reading.ignores_a_wrong_size_hint,
        blobs_reading.stores_a_wide_view_bytewise,
        blobs_reading.cuts_a_range_at_the_end,
        blobs_reading.reads_no_range_of_an_empty_blob,
        blobs_reading.streams_in_chunks,
        blobs_reading.survives_an_abandoned_reader,
        blobs_reading.reports_a_missing_blob,
        blobs_reading.finds_no_part_of_a_key,
        blobs_reading.refuses_what_is_no_key,
        blobs_reading.takes_every_key_of_the_layout,
        blobs_reading.lists_by_prefix,
        blobs_reading.lists_nothing_when_empty,
        blobs_reading.returns_the_time,
    )
)
WRITING_PROMISES: Final[tuple[Promise[BlobStore], ...]] = tuple(
    Promise(check)
    for check in (
        blobs_writing.never_shows_half_a_blob,
        blobs_writing.leaves_nothing_of_a_failed_producer,
        blobs_writing.leaves_nothing_of_a_wrong_type,
        blobs_writing.refuses_or_replaces_at_a_second_put,
        blobs_writing.creates_once,
        blobs_writing.creates_once_among_sixteen,
        blobs_writing.creates_nothing_over_a_put,
        blobs_writing.creates_again_after_a_deletion,
        blobs_writing.replaces_free_and_taken_keys,
        blobs_writing.never_mixes_old_and_new,
        blobs_writing.forgives_deletion_of_missing_keys,
        blobs_writing.deletes_more_than_a_thousand_keys,
        blobs_writing.serves_many_threads,
        blobs_writing.leaves_no_thread_running,
        blobs_writing.works_after_a_fork,
    )
)
MULTIPART_PROMISES: Final[tuple[Promise[MultipartDriver], ...]] = tuple(
    Promise(check)
    for check in (
        multipart.has_every_multipart_method,
        multipart.joins_parts_by_number,
        multipart.replaces_a_part_sent_again,
        multipart.completes_twice_alike,
        multipart.completes_once_among_four,
        multipart.completes_nothing_over_another_blob,
        multipart.completes_nothing_with_a_swapped_part,
        multipart.ends_an_aborted_upload,
        multipart.binds_an_upload_to_its_key,
    )
)


def check_blobs(factory: Callable[[], BlobStore]) -> None:
    """Check a driver against every sentence of the contract BlobStore.

    It writes some 200 MB and takes seconds on a local store, a minute on a distant one.

    Args:
        factory: returns an empty store at each call, such as one with a prefix or a folder of its own.

    Raises ContractBroken, which lists each broken sentence and what was found.
    """
    check_all((*READING_PROMISES, *WRITING_PROMISES), factory)


def check_multipart(factory: Callable[[], MultipartDriver]) -> None:
    """Check a driver against every sentence of the optional contract MultipartStore.

    Args:
        factory: returns an empty store at each call, and a function that sends it a part as a client does.

    Raises ContractBroken, which lists each broken sentence and what was found.
    """
    check_all(MULTIPART_PROMISES, factory)
