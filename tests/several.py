"""
Owns which of the command's tests run with two processes.

`AFETCH_TEST_PROCESSES=2 pytest` runs all of them so, but those of `NOT_WITH_SEVERAL`. Otherwise those of `WITH_BOTH`
run twice, with one process and with two: a few for each thing that somebody relies on.
"""

from __future__ import annotations

_WHOLE_RUN = "cookies of a whole run need one process, and it says so"
_EXPLAINED = "it reads the whole of --explain, which tells of the processes"
_CODE = "it changes the code of the process that is begun, and its children are themselves"
_LOOKUPS = "each process looks a name up for itself"
_CONNECTIONS = "it counts connections, which each process keeps for itself"

NOT_WITH_SEVERAL = {
    "test_cookies.py::test_a_file_of_garbage_is_told_of_before_any_request": _WHOLE_RUN,
    "test_cookies.py::test_what_cannot_be_is_told_of_before_any_request": _WHOLE_RUN,
    "test_cookies.py::test_a_jar_whose_folder_goes_meanwhile_fails_the_run": _WHOLE_RUN,
    "test_cookies.py::test_curl_and_we_read_each_others_jars": _WHOLE_RUN,
    "test_credentials.py::test_no_secret_is_shown[cookie from a file]": _WHOLE_RUN,
    "test_credentials.py::test_no_secret_is_shown[cookie jar]": _WHOLE_RUN,
    "test_explain.py::test_a_url_is_explained_in_full": _EXPLAINED,
    "test_explain.py::test_several_outputs_are_told_of": _EXPLAINED,
    "test_explain.py::test_a_hosts_table_is_named_with_its_limits": _EXPLAINED,
    "test_explain.py::test_each_setting_is_told_as_it_is": _EXPLAINED,
    "test_explain.py::test_what_was_overruled_was_not_said": _EXPLAINED,
    "test_explain.py::test_nothing_said_is_told_as_that": _EXPLAINED,
    "test_endings.py::test_ctrl_c_ends_a_run_whose_lookups_all_hang": _CODE,
    "test_names_network.py::test_a_short_ttl_is_kept_to": _CODE,
    "test_names_network.py::test_ctrl_c_does_not_wait_for_lookups": _CODE,
    "test_names_network.py::test_a_name_that_does_not_exist_costs_few_lookups": _LOOKUPS,
    "test_forms.py::test_a_form_goes_over_tls_and_kept_connections": _CONNECTIONS,
    "test_against_foreign.py::test_nginx_tls_versions": _CONNECTIONS,
    "test_endings.py::test_fail_fast_stops_at_the_first_that_counts": (
        "which entries are begun beside the first failure is another matter with two"
    ),
    "test_endings.py::test_ctrl_c_lets_what_is_under_way_finish_and_gives_up_what_hangs": (
        "it says how many are under way at a moment at which a reply is still on its way from one process to the other"
    ),
    "test_job_control.py::test_ctrl_c_on_the_keyboard_reaches_all_of_a_pipeline": (
        "the bar is there before the first record, and somebody else writes that over it"
    ),
}
"""Tests that cannot hold with two processes, and why; without its parameters a name stands for all of them."""

WITH_BOTH = frozenset(
    {
        # Records, whatever is asked and whatever comes.
        "test_command.py::test_a_line_that_is_no_url_is_a_record",
        "test_command.py::test_user_info_becomes_a_header_and_nobody_reads_it",
        "test_command.py::test_json_is_one_array",
        "test_command.py::test_the_schema_describes_every_record",
        "test_command.py::test_what_can_get_better_is_tried_again",
        "test_command.py::test_loops_and_limits_are_told_apart",
        "test_command.py::test_credentials_do_not_leave_their_origin",
        "test_command.py::test_a_tls_record_tells_of_its_handshake",
        "test_command.py::test_a_host_has_a_table_of_its_own",
        "test_compression.py::test_several_codings_are_undone_in_reverse",
        # What is said, and the exit status.
        "test_command.py::test_a_bad_source_ends_the_run_before_its_first_request",
        "test_command.py::test_an_input_that_breaks_off_is_status_2_with_the_records_so_far",
        "test_command.py::test_the_summary_says_what_it_came_to",
        "test_command.py::test_fail_fast_stops_at_the_first_that_counts",
        "test_endings.py::test_a_full_disk_ends_the_run_and_names_the_place",
        "test_endings.py::test_too_few_descriptors_make_fewer_slots_and_a_note",
        # Signals and readers.
        "test_endings.py::test_a_second_ctrl_c_ends_at_once_and_well_formed",
        "test_endings.py::test_each_signal_has_its_status",
        "test_endings.py::test_ctrl_c_does_not_wait_for_a_retry",
        "test_endings.py::test_a_closed_pipe_ends_us_while_requests_hang",
        "test_endings.py::test_a_killed_run_leaves_whole_lines",
        "test_streams.py::test_each_url_of_a_pipe_that_stays_open_is_fetched_at_once",
        "test_streams.py::test_a_reader_that_stops_and_goes_on_has_lost_nothing",
        # Politeness.
        "test_politeness.py::test_what_robots_txt_disallows_is_never_asked_for",
        # What is done already, and what is kept.
        "test_resume_command.py::test_an_interrupted_run_says_how_to_go_on",
        "test_resume_command.py::test_what_failed_is_fetched_again",
        "test_saving.py::test_the_command_saves_rows_with_checksums",
        "test_warc.py::test_files_have_what_went_over_the_wire",
        "test_sqlite.py::test_an_interrupted_run_leaves_one_file",
        "test_cache.py::test_only_what_changed_is_written",
        "test_unique.py::test_a_list_with_repetitions_is_fetched_once",
        "test_failed.py::test_a_table_is_given_back_with_its_header",
        "test_ordered.py::test_nobody_waits_for_what_does_not_come",
    }
)
"""Tests that run twice."""


def reason_against(name: str) -> str | None:
    """Why a test cannot hold with two processes; None if it can."""
    return NOT_WITH_SEVERAL.get(name) or NOT_WITH_SEVERAL.get(name.partition("[")[0])
