"""What the wire owes its callers, row by row, and the test that states each row.

In our own words, after Adobe's Edge Network API as its documents and the Web SDK's source define
it: answers (3), errors (4), consent (5), cookies, identity and CORS (6). A row that does not apply
says why. test_rows.py checks that no row is without a test and that each named test is there.
"""

from __future__ import annotations

from msgspec import Struct


class Row(Struct, frozen=True):
    """tests: `file::name` under tests/. why_not: why the row does not apply."""

    number: str
    says: str
    tests: tuple[str, ...] = ()
    why_not: str = ""


def _in(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{file}.py::test_{name}" for name in names)


ANSWERS = "edge/test_answers"
CODES = "edge/test_every_code"
CONSENT = "edge/test_consent"
COOKIES = "edge/test_cookies"
ERRORS = "edge/test_errors"
FAILURES = "edge/test_failures"
FIRST_PARTY = "edge/test_first_party"
IDENTITY = "edge/test_identity"
IDENTITY_ERRORS = "edge/test_identity_errors"
LIMITS = "edge/test_limits"
ORIGINS = "edge/test_origin_table"
SERVERS = "edge/test_server_api"
STANDARDS = "edge/test_consent_standards"
WIRE = "edge/test_rows"
ALLOY = "journeys/test_browser_alloy"
TCF = "decision/test_tcf"

NEVER_SENT = "Never sent: "

RESPONSES = (
    Row("3.1", "An answer holds requestId and a list `handle`; nothing more where all is well.",
        _in(ANSWERS, "the_answer_holds_the_four_handles")),
    Row("3.2", "The request id that the caller chose comes back, in the body and in a header.",
        _in(ANSWERS, "an_event_is_answered_on_the_same_page", "a_request_id_may_come_in_a_header")),
    Row("3.3", "`handle` is a list in every 2xx that has a body, also where nothing worked.",
        (*_in(FAILURES, "what_could_not_be_stored_is_a_207_that_says_so"),
         *_in("edge/test_any_body", "any_json_has_a_valid_answer"))),
    Row("3.4", "eventIndex stands on the handles of an event, and on no other.",
        _in(WIRE, "only_what_belongs_to_an_event_has_an_event_index")),
    Row("3.5", "Several events are answered in their order, each under its index.",
        _in(ANSWERS, "events_of_one_request_are_answered_in_order_each_by_its_index")),
    Row("3.6", "identity:result holds the ECID under its namespace.",
        _in(WIRE, "an_identity_is_told_with_its_namespace")),
    Row("3.7", "An identity of CORE, which there is none of here, is told of by a warning.",
        _in(ANSWERS, "a_namespace_that_cannot_be_fetched_is_told_as_a_warning")),
    Row("3.8", "identity:exchange: identities are synchronised with third parties.",
        why_not=NEVER_SENT + "no identity leaves for a third party."),
    Row("3.9", "state:store holds key, value and maxAge of each cookie.",
        _in(ANSWERS, "a_first_answer_sets_identity_proof_and_cluster")),
    Row("3.10", "state:store says SameSite=None where the cookie needs it, and nothing else there.",
        _in("edge/test_origins", "every_cookie_of_a_cross_site_answer_says_same_site_none",
            "a_same_site_answer_leaves_the_attribute_out")),
    Row("3.11", "locationHint:result names the edge to come back to, and for how long.",
        (*_in(ANSWERS, "the_answer_holds_the_four_handles"),
         *_in("edge/test_mobile", "the_next_request_goes_where_the_answer_says"))),
    Row("3.12", "activation:push: the SDK sets a cookie or calls a URL.",
        why_not=NEVER_SENT + "there are no cookie and URL destinations."),
    Row("3.13", "personalization:decisions: propositions of Target and Journey Optimizer.",
        why_not=NEVER_SENT + "there are no propositions; alloy resolves without (row 3.15)."),
    Row("3.14", "media-analytics and brand-concierge handles.",
        why_not=NEVER_SENT + "other products."),
    Row("3.15", "alloy resolves with one entry of destinations per alias, all fields kept.",
        _in(ALLOY, "an_event_resolves_with_one_entry_per_alias")),
    Row("3.16", "By beacon, and without consent, alloy resolves with no destinations.",
        _in(ALLOY, "an_event_of_a_page_that_closes_goes_by_beacon_and_has_no_destinations",
            "after_consent_is_withdrawn_an_event_tells_nothing_and_gets_nothing")),
    Row("3.17", "An answer that the site's server got can be applied in the page.",
        _in(ALLOY, "an_answer_that_the_site_s_server_got_is_applied_in_the_page")),
    Row("3.18", "A profileLookup names type, destination, alias and the segments, each by id and"
        " namespace.",
        _in(ANSWERS, "an_event_is_answered_on_the_same_page")),
    Row("3.19", "A proven server is told attributes, by target name, each as {value}.",
        _in(SERVERS, "mapped_attributes_come_by_target_name_to_the_destination_that_takes_them")),
    Row("3.20", "Nobody else is told attributes, whatever the version of the path.",
        (*_in(ANSWERS, "attributes_never_go_to_a_browser"),
         *_in(ALLOY, "a_browser_is_never_told_attributes"),
         *_in("edge/test_tenants",
              "without_proof_an_answer_is_that_of_a_destination_without_attributes"))),
    Row("3.21", "There is one item per destination of the datastream.",
        _in(ANSWERS, "every_destination_of_the_datastream_has_its_entry")),
    Row("3.22", "Of a profile that nobody knows the handle is there, with an empty payload.",
        _in(SERVERS, "of_a_person_nobody_knows_the_handle_is_there_and_empty")),
    Row("3.23", "A known profile in no audience has an item without segments.",
        _in(ANSWERS, "a_visitor_in_no_audience_has_an_entry_with_no_segments")),
    Row("3.24", "The cluster cookie comes each time, the identity when new and once a day.",
        _in(IDENTITY, "cookies_are_written_once_and_again_after_a_day")),
    Row("3.25", "collect answers 204 without a body, or 200 with handles; never 202.",
        _in(ANSWERS, "a_beacon_of_a_known_visitor_is_answered_with_nothing",
            "a_collect_of_a_new_visitor_is_answered_with_its_cookies")),
    Row("3.26", "An answer is application/json; x-adobe-edge names region and its number.",
        (*_in(ANSWERS, "an_event_is_answered_on_the_same_page",
              "the_region_of_the_edge_is_in_a_header"),
         *_in(CODES, "a_fault_that_is_not_the_callers_stands_in_a_valid_answer"))),
    Row("3.27", "No answer is kept by a cache or read as another type.",
        _in(ANSWERS, "no_answer_is_kept_by_a_cache")),
    Row("3.28", "x-konductor, Strict-Transport-Security.",
        why_not="No client reads the one; the other is for the proxy that ends TLS."),
)  # fmt: skip

PROBLEMS = (
    Row("4.1", "What the caller got wrong is problem+json: type, status, title, detail, report.",
        (*_in(CODES, "a_refusal_is_a_problem_of_its_own_status"),
         *_in(ERRORS, "a_problem_says_which_call_it_belongs_to"))),
    Row("4.2", "report.errors lists the faults of a validation.",
        why_not="The detail names the first fault and its path; no client reads the list."),
    Row("4.3", "What failed besides stands in errors of a 207.",
        _in(CODES, "a_fault_that_is_not_the_callers_stands_in_a_valid_answer")),
    Row("4.4", "What is only warned of leaves the answer 200.",
        _in(CODES, "a_warning_leaves_the_answer_good")),
    Row("4.5", "The status in a code is the status of the problem.",
        _in("edge/test_errors_documented", "the_status_of_an_adobe_code_is_its_last_part")),
    Row("4.6", "set-consent refuses a standard, version or word that there is not by 0102, a"
        " missing value by 0103, an empty one by 0104.",
        _in(ERRORS, "a_consent_that_cannot_be_kept_is_refused")),
    Row("4.7", "An ECID that is none is told back, and no identity cookie is set.",
        _in(IDENTITY_ERRORS, "an_ecid_that_is_none_is_told_back_and_no_identity_is_set")),
    Row("4.8", "An unknown datastream is refused by its name.",
        (*_in(ERRORS, "an_unknown_datastream_is_refused_by_its_name"),
         *_in(ALLOY, "an_unknown_datastream_rejects_with_the_reason"))),
    Row("4.9", "A wrong override is refused by its key.",
        _in(ERRORS, "a_wrong_override_is_refused_by_its_key")),
    Row("4.10", "A busy edge is asked again after the time that it names, four times in all.",
        _in(ALLOY, "a_busy_edge_is_asked_again_after_the_time_that_it_names",
            "an_edge_that_stays_busy_is_asked_four_times_in_all")),
    Row("4.11", "Retry-After is never 0, and a page may read it.",
        _in(LIMITS, "a_visitor_who_floods_is_told_when_to_come_back_and_others_are_served")),
    Row("4.12", "What is sent again under the same request id counts once.",
        _in("edge/test_retries", "a_retry_with_the_same_request_id_counts_once",
            "a_retry_that_queued_longer_counts_once")),
    Row("4.13", "Any other 4xx or 5xx rejects at once with its body.",
        _in(ALLOY, "an_unknown_datastream_rejects_with_the_reason")),
    Row("4.14", "No failure of ours is a 5xx, on which a page would break.",
        _in(FAILURES, "what_could_not_be_stored_is_a_207_that_says_so",
            "an_error_of_ours_is_a_valid_answer_and_is_logged_once")),
    Row("4.15", "An answer that never comes: the SDK says that the network failed.",
        why_not="Nothing of ours: there is no answer. alloy does not ask again."),
    Row("4.16", "First events at once are sent one after the other and are one visitor.",
        _in(ALLOY, "three_events_at_once_from_a_new_visitor_are_one_visitor")),
)  # fmt: skip

# Adobe's published codes: EXEG-nnnn-sss.
PUBLISHED = frozenset(f"EXEG-{code}" for code in (
    "0000-503", "0001-500", "0002-400", "0003-400", "0004-422", "0010-422", "0011-422", "0012-422",
    "0013-422", "0100-500", "0101-400", "0102-400", "0103-400", "0104-422", "0105-400", "0106-400",
    "0107-400", "0108-400", "0109-408", "0110-400", "0111-415", "0112-413", "0113-400", "0200-504",
    "0201-503", "0202-502", "0203-502", "0204-200", "0205-502", "0300-502", "0301-200", "0302-409",
    "0303-200", "0304-400", "0305-400", "0306-400", "0307-502", "0308-400", "0400-403", "0500-401",
    "0501-401", "0502-401", "0503-401", "0504-401", "0505-401", "0506-401",
))  # fmt: skip
# Those that the edge never answers with, and why; the others are in test_every_code.py.
UNUSED: dict[str, str] = {
    "EXEG-0000-503": "an edge that is not there cannot answer; its proxy does.",
    "EXEG-0010-422": "a datastream that applies has no faults: `perso apply` tells them.",
    "EXEG-0011-422": "there are no sandboxes.",
    "EXEG-0012-422": "there are no sandboxes.",
    "EXEG-0013-422": "namespaces are not configured.",
    "EXEG-0100-500": "what cannot be read as JSON is the caller's fault, 0101.",
    "EXEG-0105-400": "each fault of a field is 0102, 0103 or 0104.",
    "EXEG-0107-400": "the only parameter that is required has a code of its own, 0002.",
    "EXEG-0108-400": "every parameter is a text.",
    "EXEG-0110-400": "the SDK finds no domain on localhost, so none is demanded.",
    "EXEG-0200-504": "there is no upstream; a store that is late is 0201.",
    "EXEG-0202-502": "there is no upstream.",
    "EXEG-0204-200": "there is no upstream.",
    "EXEG-0205-502": "there is no upstream.",
    "EXEG-0300-502": "consent is in the profile's own store, 0201.",
    "EXEG-0302-409": "who was out may say so again.",
    "EXEG-0307-502": "consent is in the profile's own store, 0201.",
    "EXEG-0308-400": "an id of the wrong form is 0305.",
    "EXEG-0400-403": "no country is refused.",
    "EXEG-0501-401": "there are no user tokens.",
}

CONSENTS = (
    Row("5.1", "Where the site waits for a choice nothing leaves the page before it.",
        _in(ALLOY, "until_the_visitor_has_chosen_nothing_leaves_the_page",
            "a_site_that_asks_first_tells_nothing_until_the_visitor_agrees")),
    Row("5.2", "Where the datastream waits for a choice nothing is kept before it.",
        _in(CONSENT, "until_a_visitor_agrees_nothing_is_kept_where_the_datastream_waits")),
    Row("5.3", "A consent cookie without an identity is void to the SDK: set-consent makes an"
        " identity where there is none, and answers with it, its proof and the consent for 180"
        " days.",
        _in(CONSENT, "a_choice_is_answered_with_identity_proof_and_consent")),
    Row("5.4", "The consent cookie says general=in or out, or pending.",
        _in(CONSENT, "a_choice_is_answered_with_identity_proof_and_consent",
            "a_choice_that_is_still_pending_changes_nothing_and_holds_the_sdk_back")),
    Row("5.5", "Once the answer says so the SDK sends what waited.",
        _in(ALLOY, "consent_that_is_given_releases_the_events_that_waited",
            "every_standard_releases_the_events_that_waited_or_drops_them")),
    Row("5.6", "The SDK asks once for equal consents, by a hash that it keeps.",
        why_not="The SDK's own; what it asks twice counts as said again (row 5.16)."),
    Row("5.7", "Adobe 1.0: in, out, pending, not_provided.",
        _in(CONSENT, "a_choice_is_answered_with_identity_proof_and_consent",
            "a_choice_that_is_still_pending_changes_nothing_and_holds_the_sdk_back")),
    Row("5.8", "Adobe 2.0: collect.val decides; y is in, n is out.",
        _in(STANDARDS, "what_collect_says_is_what_the_sdk_is_told")),
    Row("5.9", "Adobe 2.0: share, adID, personalize, marketing and metadata are taken.",
        _in(STANDARDS, "all_of_adobe_2_0_is_taken_and_kept_as_it_was_sent")),
    Row("5.10", "IAB TCF: in where purpose 1 and vendor 565 are consented; 10 is not asked.",
        (*_in(STANDARDS, "a_tc_string_is_in_by_purpose_1_and_the_vendor"),
         *_in(TCF, "a_string_consents_or_says_why_not"))),
    Row("5.11", "IAB TCF: where the GDPR does not apply any string is in.",
        _in(STANDARDS, "where_the_gdpr_does_not_apply_any_string_is_in")),
    Row("5.12", "A choice is kept for the visitor, and the next page hears it.",
        _in(CONSENT, "a_choice_alone_makes_no_profile", "after_agreeing_the_visitor_is_known")),
    Row("5.13", "A visitor may be named when it chooses.",
        _in(CONSENT, "a_visitor_may_be_named_when_it_chooses")),
    Row("5.14", "The answer to `out` holds identity and cookies, and nothing that tells or does"
        " more.",
        _in(STANDARDS, "the_answer_to_a_withdrawal_holds_identity_and_cookies_alone")),
    Row("5.15", "An event of who is out: 200, no destinations, warning 0301, the cookie says out.",
        (*_in(CONSENT, "after_refusing_nothing_is_kept_and_the_sdk_is_told_to_stop"),
         *_in(ALLOY, "after_consent_is_withdrawn_an_event_tells_nothing_and_gets_nothing"))),
    Row("5.16", "The last word counts.",
        _in(CONSENT, "the_last_word_counts", "of_several_consent_objects_the_last_counts")),
    Row("5.17", "403 with a consent cookie for who opted out of Audience Manager.",
        why_not="Another product's; who is out is answered as row 5.15 says."),
    Row("5.18", "A negative string on an event opts the visitor out.",
        (*_in(STANDARDS,
              "a_negative_string_on_an_event_opts_the_visitor_out_from_that_event_on"),
         *_in(ALLOY, "a_negative_string_on_an_event_makes_the_sdk_stop"))),
)  # fmt: skip

IDENTITIES = (
    Row("6.1", "Cookies are named by the organisation, its first @ as _.",
        _in(COOKIES,
            "a_cookie_is_named_by_its_organisation_with_the_first_at_sign_replaced")),
    Row("6.2", "The identity lives 395 days, the consent 180, the cluster half an hour.",
        _in(COOKIES, "cookies_live_as_long_as_adobes")),
    Row("6.3", "The identity cookie is base64 for URLs, and no longer than Adobe's of 120 bytes.",
        _in(WIRE, "the_identity_cookie_is_no_longer_than_adobes")),
    Row("6.4", "It is the protobuf that the SDK reads: the ECID first, then created, source and"
        " written.",
        (*_in(COOKIES, "the_identity_cookie_is_the_protobuf_that_the_sdk_reads",
              "the_identity_cookie_begins_as_adobes_does"),
         *_in(ALLOY, "page_two_is_the_same_visitor_who_saw_the_sneaker_on_page_one"))),
    Row("6.5", "The cookies consent_check, personalization and optout.",
        why_not=NEVER_SENT + "of other products, or helpers of Adobe's own."),
    Row("6.6", "AMCV, which the SDK writes for older libraries.",
        why_not="The SDK's own; the ECID in it comes back as row 6.11 says."),
    Row("6.7", "SameSite=None for https pages of another site, and not on http, where the browser"
        " would drop the cookie.",
        _in("edge/test_origins", "same_site_none_is_for_https_pages_of_another_site",
            "every_cookie_of_a_cross_site_answer_says_same_site_none")),
    Row("6.8", "An ECID is 38 digits: two numbers of 63 bits.",
        _in("decision/test_merge", "every_ecid_has_38_digits")),
    Row("6.9", "The same FPID always gives the same ECID, whatever its form.",
        _in("edge/test_fpid", "an_fpid_always_gives_the_same_ecid",
            "a_visitor_without_cookies_is_named_by_its_fpid_each_time")),
    Row("6.10", "A malformed identity cookie makes a new visitor, and no error.",
        _in(IDENTITY, "any_flipped_bit_of_a_cookie_makes_a_new_visitor_and_no_error")),
    Row("6.11", "An ECID that the request names, from a link or an older cookie, goes before the"
        " cookie, and the cookie is written again as received in a request.",
        _in(IDENTITY, "a_named_ecid_names_the_visitor",
            "naming_another_ecid_overrides_the_cookies")),
    Row("6.12", "Anyone can name any ECID: it is no proof, and selects nobody's profile.",
        (*_in(IDENTITY, "a_named_ecid_never_selects_its_owners_profile"),
         *_in("edge/test_knowing_a_victim",
              "knowing_all_of_a_victim_but_its_proof_is_knowing_nothing"))),
    Row("6.13", "A link names the visitor for five minutes, within one organisation.",
        _in(ALLOY,
            "a_link_names_the_visitor_for_five_minutes_on_the_sites_of_one_organisation")),
    Row("6.14", "An identity that came with an FPID stays when another FPID comes.",
        _in("edge/test_fpid", "who_came_with_an_fpid_is_known_by_its_cookies_from_then_on")),
    Row("6.15", "The page's exact origin is allowed, with credentials, and never a star.",
        _in(ORIGINS, "a_listed_page_is_answered_and_reads_it_with_its_cookies")),
    Row("6.16", "Answers vary by Origin, and show Retry-After, x-adobe-edge and x-request-id.",
        _in(ORIGINS, "a_listed_page_is_answered_and_reads_it_with_its_cookies",
            "another_page_is_refused_and_reads_nothing")),
    Row("6.17", "A listed page reads refusals too, else the SDK sees a network error.",
        _in(ERRORS, "a_listed_page_can_read_every_refusal")),
    Row("6.18", "A preflight is answered for who is no alloy.",
        _in(ORIGINS, "the_preflight_of_a_listed_page_permits_what_it_may_send",
            "the_preflight_of_another_page_permits_nothing")),
    Row("6.19", "Which origins may call is for each datastream to say.",
        _in("edge/test_origins", "a_page_listed_elsewhere_is_refused_and_reads_nothing")),
    Row("6.20", "Cookies of the Cookie header are read, and go before those in the body.",
        _in(IDENTITY, "the_cookie_header_is_believed_as_the_body_is",
            "cookies_in_the_header_hide_those_in_the_body")),
    Row("6.21", "On a site's own host the identity is kept by header.",
        (*_in(FIRST_PARTY, "the_identity_goes_by_header_and_the_rest_by_the_sdk"),
         *_in(ALLOY, "an_edge_on_the_page_s_own_host_serves_it_too"))),
)  # fmt: skip

ROWS = (*RESPONSES, *PROBLEMS, *CONSENTS, *IDENTITIES)
