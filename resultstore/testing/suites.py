"""Suites: the promises of each contract, and the functions that check them all."""

from collections.abc import Callable
from typing import Final

from resultstore.blobs.blobstore import BlobStore
from resultstore.index.index import Index
from resultstore.testing import (
    blobs_reading,
    blobs_writing,
    index_events,
    index_keys,
    index_lists,
    index_records,
    index_tombstones,
    multipart,
)
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

RECORD_PROMISES: Final[tuple[Promise[Index], ...]] = tuple(
    Promise(check)
    for check in (
        index_records.implements_the_index_contract,
        index_records.returns_none_for_an_unknown_id,
        index_records.loads_every_field_as_saved,
        index_records.peeks_without_large_fields,
        index_records.never_overwrites_success,
        index_records.keeps_a_success_with_a_large_value,
        index_records.replaces_everything_but_success,
        index_records.restores_over_unfinished_records,
        index_records.restores_over_no_terminal_record,
        index_records.writes_every_save_without_a_record,
        index_records.announces_work_only_without_a_record,
        index_records.saves_idempotently,
        index_records.lets_one_announcement_win,
        index_records.lets_success_win_a_race,
        index_records.lets_the_first_success_win,
        index_records.expires_records_on_time,
        index_records.removes_an_expired_record_at_once,
        index_records.expires_by_the_last_save,
        index_records.deletes_a_record_twice,
        index_records.deletes_larger_parts_of_an_older_record,
        index_records.refuses_an_invalid_nonce,
        index_records.takes_any_text_as_id,
        index_tombstones.writes_tombstones_over_every_record,
        index_tombstones.saves_nothing_over_a_tombstone,
        index_tombstones.writes_a_tombstone_twice,
        index_tombstones.expires_tombstones,
        index_tombstones.omits_deleted_results_of_an_owner,
        index_tombstones.takes_no_custom_state_for_a_tombstone,
        index_keys.claims_for_one_holder,
        index_keys.sets_a_new_lease_at_each_claim,
        index_keys.keeps_a_key_until_dropped,
        index_keys.reads_many_keys_in_order,
        index_keys.expires_a_kept_key,
        index_keys.collects_notes_until_they_expire,
        index_keys.saves_if_absent,
    )
)
LIST_PROMISES: Final[tuple[Promise[Index], ...]] = tuple(
    Promise(check)
    for check in (
        index_lists.lists_the_owners_ids_newest_first,
        index_lists.lists_every_id_while_results_are_deleted,
        index_lists.lists_no_deleted_or_expired_ids,
        index_lists.lists_all_ids_once,
        index_lists.loads_many_in_order,
        index_lists.lists_a_stored_result_without_its_record,
        index_lists.drops_an_expired_result_from_the_list,
        index_lists.lists_parts_of_unfinished_work,
        index_lists.lists_results_by_creation,
        index_lists.lists_an_enlisted_id,
        index_lists.keeps_unlisted_ids_as_stored,
        index_lists.forgets_an_id,
        index_lists.removes_a_deleted_id,
        index_lists.removes_a_deleted_record_from_the_list,
        index_lists.finds_records_on_no_list,
        index_lists.erases_one_owner_only,
    )
)
EVENT_PROMISES: Final[tuple[Promise[Index], ...]] = tuple(
    Promise(check)
    for check in (
        index_events.watches_each_change_in_order,
        index_events.loses_no_change_before_the_wait,
        index_events.announces_after_the_write,
        index_events.announces_no_refused_save,
        index_events.watches_only_its_own_id,
        index_events.watches_on_when_another_leaves,
        index_events.watches_an_id_again,
        index_events.reports_the_end_to_a_slow_watcher,
        index_events.notifies_watchers_of_a_deletion,
        index_events.reports_a_subscription_then_each_change,
        index_events.leaves_an_id,
        index_events.subscribes_an_id_again,
        index_events.wakes_an_idle_subscription,
        index_events.is_silent_when_closed,
        index_events.feeds_only_the_owners_events,
        index_events.reads_missed_events,
        index_events.returns_none_for_a_trimmed_event,
        index_events.announces_unowned_results_to_the_empty_owner,
        index_events.feeds_no_owner_that_was_left,
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


def check_index(factory: Callable[[], Index]) -> None:
    """Check a driver against every sentence of the contract Index.

    It waits for expiry and takes some twenty seconds. Ids and owners are new each time: the server may be in use.

    Args:
        factory: returns an index at each call; several may share one server.

    Raises ContractBroken, which lists each broken sentence and what was found.
    """
    check_all((*RECORD_PROMISES, *LIST_PROMISES, *EVENT_PROMISES), factory)
