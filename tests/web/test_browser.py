"""The pages in a real browser: no complaint of axe, no sideways scrolling, no console error, no breach of the CSP;
with script, without it, by keyboard, in both languages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, expect, sync_playwright

from assistant.accounts.models import Team, User
from assistant.chat.models import Answer
from assistant.documents import holds
from assistant.documents.models import Collection, Document, DocumentVersion
from assistant.models import JobKind, JobState, ModelJob
from tests.inference.models.conftest import qwen2_folder  # noqa: F401 - a fixture
from tests.models.conftest import store  # noqa: F401 - a fixture

from . import audited
from .browser import CHROMIUM, SWITCHES, Visit, visit
from .conftest import QUOTE, TEXT
from .goldens import golden_runs

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread; the test's own database calls are ordinary ones all the same.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield found
        found.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def open_as(browser, live_server, settings) -> Iterator[Open]:
    """`open_as(person, width=320, dark=True, script=False)`: a window signed in as the person, or as nobody."""
    settings.CSRF_TRUSTED_ORIGINS = [live_server.url]
    windows: list[Visit] = []

    def opened(person: User | None = None, **options: object) -> Visit:
        session = ""
        if person is not None:
            client = Client()
            client.force_login(person)
            session = client.cookies["sessionid"].value
        windows.append(visit(browser, live_server.url, session=session, **options))  # type: ignore[arg-type]
        return windows[-1]

    yield opened
    for window in windows:
        window.context.close()


def work(digest: str) -> None:
    """Copies of models that were asked for: under way, installed, refused. And a benchmark of an installed model."""
    common = {"name": "r1", "max_loss": 0.05, "min_agreement": 0.9, "by": "user:1"}
    refused = "r1-nf4 loses too much: perplexity 14.20 to 16.90 (+19.0%, at most +5.0% allowed)."
    ModelJob.objects.create(recipe="nf4", target="r1-nf4", state=JobState.REFUSED, problem=refused, **common)
    ModelJob.objects.create(recipe="int8", target="r1-int8", state=JobState.DONE, **common)
    running = {"state": JobState.RUNNING, "stage": "measuring", "progress": 40}
    ModelJob.objects.create(recipe="dynamic8", target="r1-dynamic8", **running, **common)
    one = {"first_token_ms": 812.4, "tokens_per_second": 31.2, "requests": 1, "tokens": 64, "seconds": 2.1}
    sizes = {"bytes": 1.9e9, "peak_bytes": 2.4e9, "disk_bytes": 1.8e9}
    near = {"perplexity_before": 14.2, "perplexity_after": 14.6, "agreement": 0.941}
    speeds = {f"users_{users}": one | {"users": users, "joules_per_token": 1.4 / users} for users in (1, 8)}
    machine = {"processor": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "cores": 2, "memory_gib": 16.0}
    figures = {"quantization": "dynamic8", "load_s": 4.2} | sizes | near | speeds
    ModelJob.objects.create(
        kind=JobKind.BENCHMARK,
        name="tiny",
        target="tiny",
        state=JobState.DONE,
        by="user:1",
        finished_at=timezone.now(),
        options={"users": [1, 8], "tokens": 64},
        result={"digest": digest, "machine": machine, "figures": figures},
    )


@pytest.fixture
def places(people, library, answered, store) -> list[tuple[str, User | None, str]]:  # noqa: F811
    """(name, person, path) of every kind of page."""
    reviewed = audited.places(people, answered)
    start = TEXT.index(QUOTE)
    held = holds.place(actor=people.auditor, kind="document", target=str(library.policy.pk), reason="Court order 12/26")
    holds.ask_to_lift(actor=people.administrator, hold_id=held.pk, reason="The case is closed")
    holds.place(actor=people.auditor, kind="person", target=people.curator.email, reason="Court order 12/26")
    run = golden_runs(people.employee.email)
    work(store.manifest("tiny").digest)
    document = f"/documents/{library.policy.pk}"
    return [
        ("sign-in", None, "/accounts/login/"),
        ("password", people.employee, "/accounts/password/change/"),
        ("sign-out", people.employee, "/accounts/logout/"),
        ("ask", people.employee, "/"),
        ("answer", people.employee, f"/conversations/{answered.conversation_id}/"),
        ("conversations", people.employee, "/conversations/"),
        ("library", people.employee, "/library/"),
        ("collection", people.curator, "/library/handbook/"),
        ("collection-access", people.curator, "/library/handbook/access/"),
        ("collection-settings", people.administrator, "/library/handbook/settings/"),
        ("collection-new", people.administrator, "/library/new/"),
        ("document", people.curator, f"{document}/"),
        ("document-failed", people.curator, f"/documents/{library.failed.pk}/"),
        ("document-page", people.employee, f"{document}/pages/1/?from={start}&to={start + len(QUOTE)}"),
        ("document-access", people.curator, f"{document}/access/"),
        ("document-details", people.administrator, f"{document}/details/"),
        ("document-version", people.curator, f"{document}/version/"),
        ("document-delete", people.curator, f"{document}/delete/"),
        ("people", people.administrator, "/people/"),
        ("person", people.administrator, f"/people/{people.employee.pk}/"),
        ("person-erase", people.administrator, f"/people/{people.employee.pk}/erase/"),
        ("person-new", people.administrator, "/people/new/"),
        ("team", people.administrator, "/people/teams/finance/"),
        ("team-new", people.administrator, "/people/teams/new/"),
        ("account", people.employee, "/account/"),
        ("tokens", people.employee, "/account/tokens/"),
        ("models", people.administrator, "/models/"),
        ("quality", people.administrator, "/quality/"),
        ("quality-questions", people.administrator, "/quality/questions/"),
        ("quality-run", people.administrator, f"/quality/runs/{run.pk}/"),
        ("health", people.administrator, "/health/"),
        ("audit", people.auditor, "/audit/"),
        ("audit-event", people.auditor, "/audit/9/"),
        ("audit-sights", people.auditor, f"/audit/sights/?person=user:{people.curator.pk}"),
        ("audit-digest", people.auditor, "/audit/digest/"),
        *reviewed,
        ("holds", people.administrator, "/holds/"),
        ("openings", people.employee, "/account/openings/"),
        ("search", people.employee, "/library/search/"),
    ]


@pytest.mark.parametrize(
    ("width", "dark", "locale", "rules"),
    [
        (1280, False, "en-US", None),
        (320, True, "zh-CN", ["color-contrast", "html-lang-valid", "link-name", "button-name", "label"]),
        (3840, False, "en-US", []),
    ],
)
def test_every_page_is_accessible_fits_and_breaks_no_rule(open_as, places, width, dark, locale, rules):
    """All of axe once; narrow, dark and in Chinese what can differ there; very wide only whether it fits."""
    windows: dict[int | None, Visit] = {}
    faults = []
    for name, person, path in places if rules != [] else places[3:9]:
        key = person.pk if person else None
        window = windows.get(key) or windows.setdefault(key, open_as(person, width=width, dark=dark, locale=locale))
        window.go(path)
        if rules != []:
            faults += [f"{name}: {fault}" for fault in window.violations(rules)]
        if window.overflow() > 0:
            faults.append(f"{name}: {window.overflow()} px wider than the window")
        faults += [f"{name}: {complaint}" for complaint in window.complaints]
        window.complaints.clear()
        if os.environ.get("SCREENSHOTS"):
            window.picture(f"test-{name}-{width}")
    assert not faults, "\n".join(faults)


def test_the_check_itself_finds_what_is_wrong(open_as):
    window = open_as(None)
    page = window.go("/accounts/login/")
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any(fault.startswith("button-name") for fault in window.violations())


def test_missing_page_is_accessible_too(open_as, people):
    window = open_as(people.employee)
    window.go("/nowhere/")
    assert window.violations() == []
    expect(window.page.locator("h1")).to_have_text("There is nothing here that you can see")


def test_sign_in_through_the_form_and_back_out(open_as, people):
    window = open_as(None)
    page = window.go("/conversations/")
    page.get_by_label("E-mail").fill(people.employee.email)
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Conversations")
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{window.base}/accounts/login/?next=/")
    assert window.complaints == []


def test_question_is_asked_by_keyboard_alone(open_as, people, library):
    window = open_as(people.employee)
    page = window.go("/")
    expect(page.locator("#id_question")).to_be_focused()
    page.keyboard.type("How much is the allowance?")
    page.keyboard.press("Enter")
    page.wait_for_url("**/conversations/**")
    expect(page.locator(".question")).to_have_text("How much is the allowance?")


def test_slash_goes_to_the_field_and_question_mark_lists_the_keys(open_as, people, answered):
    page = open_as(people.employee).go(f"/conversations/{answered.conversation_id}/")
    page.keyboard.press("/")
    expect(page.locator("#id_question")).to_be_focused()
    page.keyboard.type("?")  # while typing it is only a letter
    expect(page.locator("#shortcuts")).to_be_hidden()
    page.locator("#id_question").blur()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#shortcuts")).to_be_hidden()


def test_first_tab_skips_to_the_content(open_as, people):
    page = open_as(people.employee).go("/library/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()


def test_marker_lights_its_source_and_the_other_way_round(open_as, people, answered):
    page = open_as(people.employee).go(f"/conversations/{answered.conversation_id}/")
    page.locator("a.marker").first.hover()
    expect(page.locator(".source").first).to_have_class("source lit")
    page.locator(".source h4 a").first.focus()
    expect(page.locator("a.marker").first).to_have_class("marker lit")


def test_typed_text_survives_a_reload_and_leaves_when_sent(open_as, people, library):
    page = open_as(people.employee).go("/")
    page.locator("#id_question").fill("Half a thought")
    page.reload()
    expect(page.locator("#id_question")).to_have_value("Half a thought")
    page.keyboard.press("Enter")
    page.wait_for_url("**/conversations/**")
    page.goto(page.url.split("/conversations")[0] + "/")
    expect(page.locator("#id_question")).to_have_value("")


def test_answer_is_copied_with_its_sources(open_as, people, answered):
    window = open_as(people.employee)
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = window.go(f"/conversations/{answered.conversation_id}/")
    page.get_by_role("button", name="Copy with sources").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert f"[1] Travel policy, page 1: “{QUOTE}”" in page.evaluate("navigator.clipboard.readText()")


def test_without_script_a_question_is_asked_shown_and_stopped(open_as, people, library):
    window = open_as(people.employee, script=False)
    page = window.go("/")
    page.locator("#id_question").fill("How much is the allowance?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("link", name="Look again")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    assert Answer.objects.get().outcome == "cancelled"
    expect(page.get_by_text("You stopped this answer.")).to_be_visible()


def test_without_script_nothing_is_offered_that_needs_it(open_as, people, answered):
    page = open_as(people.employee, script=False).go(f"/conversations/{answered.conversation_id}/")
    expect(page.get_by_role("button", name="Copy with sources")).to_be_hidden()
    expect(page.locator(".source mark")).to_have_text(QUOTE)


def test_dropped_file_is_sent_and_appears_in_the_list(open_as, people, library, tmp_path):
    file = tmp_path / "Parking rules.txt"
    file.write_text("Park behind the house.", encoding="utf-8")
    window = open_as(people.curator)
    page = window.go("/library/handbook/")
    page.locator("#id_file").set_input_files(file)
    expect(page.locator("#documents")).to_contain_text("Parking rules")
    expect(page.locator(".uploads li")).to_contain_text("Waiting to be read")
    newest = DocumentVersion.objects.order_by("-pk").first()
    DocumentVersion.objects.filter(pk=newest.pk).update(status="ready")  # the worker's part
    expect(page.locator(".uploads li .state")).to_have_text("Ready")
    assert window.complaints == []


@pytest.mark.parametrize("path", ["/", "/people/", "/audit/"])
def test_the_present_page_is_in_sight_among_the_pages_on_a_narrow_screen(open_as, people, path):
    page = open_as(people.administrator, width=320).go(path)
    current = page.locator(".nav-pages [aria-current]")
    expect(current).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(
    ("path", "person", "last"),
    [
        ("/library/", "administrator", "td:last-child"),
        ("/library/handbook/access/", "curator", "button.danger"),
        ("/people/", "administrator", "td:last-child .state"),
    ],
)
def test_on_a_narrow_screen_a_row_shows_all_of_its_cells(open_as, people, library, path, person, last):
    page = open_as(getattr(people, person), width=320).go(path)
    cell = page.locator(f"tbody tr:first-child {last}").first
    cell.scroll_into_view_if_needed()
    expect(cell).to_be_in_viewport(ratio=1)
    assert page.evaluate("[...document.querySelectorAll('.table-wrap')].every(e => e.scrollWidth <= e.clientWidth)")


def test_a_model_appears_by_itself_when_its_import_is_done(open_as, people, store, qwen2_folder):  # noqa: F811
    job = ModelJob.objects.create(kind=JobKind.IMPORT, name="second", target="second", state=JobState.RUNNING)
    page = open_as(people.administrator).go("/models/")
    expect(page.locator("#installed")).not_to_contain_text("second")
    store.import_path(qwen2_folder, name="second", licence="MIT", imported_by="test")
    ModelJob.objects.filter(pk=job.pk).update(state=JobState.DONE)
    expect(page.locator("#installed")).to_contain_text("second")
    expect(page.locator("live-part[data-busy]")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 1280])
def test_names_of_one_long_word_break_and_nothing_scrolls_sideways(open_as, people, library, width):
    word = "Donaudampfschifffahrtsgesellschaft" * 3
    Team.objects.filter(slug="finance").update(name=word)
    Collection.objects.update(name=word)
    for row in Document.objects.all():
        row.title = f"{word}_{word}"
        row.save()
    places = ["library/", "library/handbook/", "library/handbook/access/", "people/", "people/teams/finance/"]
    document = f"documents/{library.policy.pk}/"
    window, faults = open_as(people.administrator, width=width), []
    for place in [*places, document, f"{document}access/", f"{document}pages/1/", f"{document}delete/"]:
        page = window.go(f"/{place}")
        beyond = "[...document.querySelectorAll('.table-wrap')].some(e => e.scrollWidth > e.clientWidth)"
        if window.overflow() > 0 or page.evaluate(beyond):
            faults.append(place)
    assert faults == []


def test_file_that_cannot_be_read_says_why_where_it_was_sent(open_as, people, library, tmp_path):
    file = tmp_path / "Locked.txt"
    file.write_text("Park behind the house.", encoding="utf-8")
    window = open_as(people.curator, width=320)
    page = window.go("/library/handbook/")
    page.locator("#id_file").set_input_files(file)
    expect(page.locator(".uploads li")).to_contain_text("Waiting to be read")
    newest = DocumentVersion.objects.order_by("-pk").first()
    DocumentVersion.objects.filter(pk=newest.pk).update(status="failed", error_code="encrypted_document")
    expect(page.locator(".uploads li")).to_contain_text("Remove the protection and upload it again.")
    assert window.overflow() <= 0


def test_refused_file_says_why(open_as, people, library, tmp_path, settings):
    settings.MAX_UPLOAD_BYTES = 10
    file = tmp_path / "big.txt"
    file.write_text("More than ten bytes.", encoding="utf-8")
    page = open_as(people.curator).go("/library/handbook/")
    page.locator("#id_file").set_input_files(file)
    expect(page.locator(".uploads .failed")).to_be_visible()


def test_theme_and_language_are_chosen_in_the_menu(open_as, people):
    page = open_as(people.employee).go("/library/")
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("h1")).to_have_text("资料库")


def test_right_to_left_text_runs_right_to_left(open_as, people, answered):
    answered.sentences = [["السياسة تسمح بذلك.", [1], True, 0]]
    answered.save()
    page = open_as(people.employee).go(f"/conversations/{answered.conversation_id}/")
    assert page.locator(".answer-text p").evaluate("node => getComputedStyle(node).direction") == "rtl"


def test_printed_answer_carries_its_sources_and_no_controls(open_as, people, answered):
    page = open_as(people.employee).go(f"/conversations/{answered.conversation_id}/")
    page.emulate_media(media="print")
    expect(page.locator(".source mark")).to_be_visible()
    for control in (".top", ".tools", ".follow"):
        expect(page.locator(control).first).to_be_hidden()
