"""Every address, task and command, and the events it leaves; or why it leaves none. Versioned with the catalogue.

Knows: names, as text. Does not know: the views, tasks and commands behind them: a test asks Django and Celery for what
there is, sends requests, and fails for whatever is missing here, gone, or recorded otherwise (`tests/audit/`).

A line is the address's name, the kind of thing it is about, and for each method the actions that may be recorded, or
"-" and a reason; an indented line goes on with the one before. HEAD is as GET. Refusals (`access.denied`) may follow
from every address and are not repeated.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from . import catalogue

REASONS = {
    "own": "the person's own account, tokens, settings, saved searches or list of conversations; no document's text",
    "names": "names and states of what the person may open; opening it is recorded",
    "duty": "people, teams, rights, holds, models or health, shown to whose duty they are; changes are recorded",
    "form": "a page with a form; what is sent with it is recorded",
    "public": "the same for everybody, with nothing about people or documents in it",
    "work": "sends waiting work again, delivers or tidies; what comes of it is recorded where it happens",
    "reads": "prints what the system is; changes nothing and shows no document, question or person",
    "host": "run by whoever has the host; it only prepares or starts the product",
}

_ADDRESSES = """
healthz -                         GET=-public
readyz -                          GET=-public
metrics health                    GET=-public
account_login session             GET=-form POST=auth.sign_in,auth.refused PUT=auth.sign_in,auth.refused
account_logout session            GET=-form POST=auth.sign_out
account_inactive session          GET=-public
account_signup session            GET=-public POST=-public
account_reauthenticate session    GET=-form POST=auth.refused PUT=auth.refused
account_change_password session   GET=-form POST=account.password_changed,auth.sign_out PUT=account.password_changed

schema -                          GET=-public
api-users person                  GET=-duty POST=account.created
api-user person                   GET=-duty
        PATCH=account.changed,account.disabled,account.enabled,account.password_changed
api-teams team                    GET=-duty POST=team.created
api-team team                     GET=-duty PATCH=team.changed
api-team-members team             GET=-duty POST=team.member_added DELETE=team.member_removed
api-tokens token                  GET=-own POST=token.issued
api-token token                   DELETE=token.revoked
api-audit-events audit            GET=audit.viewed
api-audit-verify audit            GET=audit.verified
api-audit-export audit            GET=audit.exported
api-audit-sights audit            GET=audit.viewed
api-audit-digest audit            GET=audit.viewed
api-audit-permits permit          GET=audit.viewed POST=audit.opening_asked,audit.pruning_asked
api-audit-permit-decision permit
        POST=audit.opening_approved,audit.opening_declined,audit.pruning_approved,audit.pruning_declined
api-audit-permit-text permit      POST=audit.content_opened
api-audit-permit-prune permit     POST=audit.pruned
api-audit-queries audit           GET=-own POST=audit.query_saved
api-audit-query audit             DELETE=audit.query_removed
api-audit-segments audit          GET=audit.viewed
api-audit-replay answer           GET=audit.viewed POST=answer.replayed,audit.viewed
api-openings person               GET=-own
api-holds hold                    GET=-duty POST=hold.placed
api-hold-ask hold                 POST=hold.lift_asked
api-hold-lift hold                POST=hold.lifted
api-export person                 GET=account.exported
api-answers answer                POST=answer.asked,answer.refused,answer.viewed,answer.shown
api-answer answer                 GET=answer.viewed
api-answer-events answer          GET=answer.viewed
api-answer-cancel answer          POST=answer.cancelled,answer.viewed
api-answer-feedback answer        POST=answer.feedback
api-conversations conversation    GET=-own
api-conversation conversation     GET=answer.viewed PATCH=conversation.changed DELETE=conversation.deleted,hold.kept
api-conversation-restore conversation POST=conversation.restored
api-search search                 POST=search.asked,search.shown
openai-chat answer                POST=answer.asked,answer.refused,answer.shown,answer.cancelled,answer.viewed
openai-models model               GET=-public
openai-model model                GET=-public
api-collections collection        GET=-names POST=collection.created
api-collection collection         GET=-names PATCH=collection.changed DELETE=collection.deleted
api-collection-access collection  GET=-duty
api-collection-grants collection  GET=-duty POST=grant.added,grant.changed
api-collection-grant collection   DELETE=grant.removed
api-documents document            GET=document.hidden_viewed POST=document.uploaded
api-document document             GET=document.hidden_viewed
        PATCH=document.changed,document.moved,document.hidden_viewed
        DELETE=document.deleted,document.erased,answer.withheld
api-document-versions document    POST=document.replaced
api-document-retry document       POST=document.retried
api-document-cancel document      POST=document.cancelled
api-document-release document     POST=document.released
api-document-access document      GET=-duty
api-document-grants document      GET=-duty POST=grant.added,grant.changed,document.restricted
        DELETE=document.unrestricted
api-document-grant document       DELETE=grant.removed
api-document-reveal document      POST=personal_data.revealed
api-personal-data-policy collection GET=-duty PUT=personal_data.policy_changed
api-personal-data collection      GET=-duty
api-personal-data-export collection GET=personal_data.map_exported
api-personal-data-dictionary collection GET=-duty PUT=personal_data.dictionary_changed
api-document-file document        GET=document.downloaded
api-page document                 GET=document.page_viewed
api-page-picture document         GET=document.page_viewed
api-page-rectangles document      GET=document.page_viewed
api-quality-questions golden      GET=-duty PUT=golden.changed
api-quality-runs golden           GET=-duty POST=golden.run
api-quality-run golden            GET=-duty
api-quality-reference golden      POST=golden.reference
api-quality-policy golden         GET=-duty PATCH=setting.changed
api-models model                  GET=-duty
api-model model                   GET=-duty DELETE=model.changed
api-model-verify model            POST=-duty
api-model-quantize model          POST=-work
api-model-evaluate model          POST=-work
api-model-benchmark model         POST=-work
api-active-model model            GET=-duty PUT=model.changed DELETE=model.changed
api-model-imports model           GET=-duty POST=-work
api-model-jobs model              GET=-duty
api-model-job model               GET=-duty
api-model-job-stop model          POST=-duty

web:ask answer                    GET=-names POST=answer.asked,answer.refused
web:conversations conversation    GET=-own
web:conversation conversation     GET=answer.viewed POST=answer.asked,answer.refused,answer.viewed
web:conversation-rename conversation POST=conversation.changed
web:conversation-delete conversation POST=conversation.deleted,hold.kept
web:conversation-restore conversation POST=conversation.restored
web:answer-stop answer            POST=answer.cancelled
web:answer-again answer           POST=answer.asked,answer.refused
web:answer-feedback answer        POST=answer.feedback
web:library collection            GET=-names
web:collection-new collection     GET=-form POST=collection.created
web:search search                 GET=search.asked,search.shown
web:collection collection         GET=-names
web:collection-upload collection  POST=document.uploaded
web:collection-bulk collection    POST=document.deleted,document.erased,document.retried,answer.withheld
web:collection-settings collection GET=-form POST=collection.changed
web:collection-delete collection  POST=collection.deleted
web:collection-access collection  GET=-duty POST=grant.added,grant.changed
web:collection-revoke collection  POST=grant.removed
web:document document             GET=document.hidden_viewed
web:document-page document        GET=document.page_viewed
web:document-picture document     GET=document.page_viewed
web:document-reveal document      POST=personal_data.revealed
web:collection-privacy collection GET=-duty POST=personal_data.policy_changed
web:personal-data collection      GET=-duty
web:personal-data-export collection GET=personal_data.map_exported
web:personal-data-dictionary collection GET=-duty POST=personal_data.dictionary_changed
web:document-file document        GET=document.downloaded
web:document-details document     GET=-form POST=document.changed
web:document-version document     GET=-form POST=document.replaced
web:document-move document        POST=document.moved
web:document-retry document       POST=document.retried
web:document-cancel document      POST=document.cancelled
web:document-release document     POST=document.released
web:document-delete document      GET=-form POST=document.deleted,document.erased,answer.withheld
web:document-access document      GET=-duty POST=grant.added,grant.changed,document.restricted
web:document-unrestrict document  POST=document.unrestricted
web:document-revoke document      POST=grant.removed
web:people person                 GET=-duty
web:person-new person             GET=-form POST=account.created
web:person person                 GET=-duty POST=account.changed
web:person-password person        POST=account.password_changed
web:person-disable person         POST=account.disabled
web:person-erase person           GET=-form POST=account.erased,conversation.erased,audit.content_erased,hold.kept
web:person-enable person          POST=account.enabled
web:team-new team                 GET=-form POST=team.created
web:team team                     GET=-duty POST=team.changed
web:team-add team                 POST=team.member_added
web:team-remove team              POST=team.member_removed
web:account person                GET=-own
web:account-export person         POST=account.exported
web:tokens token                  GET=-own POST=token.issued
web:token-revoke token            POST=token.revoked
web:preferences person            POST=-own
web:models model                  GET=-duty
web:models-activate model         POST=model.changed
web:models-quotations model       POST=model.changed
web:models-verify model           POST=-duty
web:models-import model           POST=-work
web:models-evaluate model         POST=-work
web:models-quantize model         POST=-work
web:models-benchmark model        POST=-work
web:models-job-stop model         POST=-duty
web:models-remove model           POST=model.changed
web:quality golden                GET=-duty
web:quality-questions golden      GET=-duty POST=golden.changed
web:quality-start golden          POST=golden.run
web:quality-schedule golden       POST=setting.changed
web:quality-run golden            GET=-duty
web:quality-reference golden      POST=golden.reference
web:health health                 GET=-duty
web:audit audit                   GET=audit.viewed
web:audit-verify audit            POST=audit.verified
web:audit-export audit            GET=audit.exported
web:audit-event audit             GET=audit.viewed
web:audit-open-ask audit          POST=audit.opening_asked
web:audit-sights audit            GET=audit.viewed
web:audit-digest audit            GET=audit.viewed
web:audit-permits permit          GET=audit.viewed
web:audit-permit-decide permit
        POST=audit.opening_approved,audit.opening_declined,audit.pruning_approved,audit.pruning_declined
web:audit-permit-open permit      POST=audit.content_opened
web:audit-permit-prune permit     POST=audit.pruned
web:audit-queries audit           GET=-own POST=audit.query_saved
web:audit-query-remove audit      POST=audit.query_removed
web:audit-pruning audit           GET=audit.viewed POST=audit.pruning_asked,audit.viewed
web:audit-replay answer           GET=audit.viewed POST=answer.replayed
web:openings person               GET=-own POST=audit.notice_read
web:holds hold                    GET=-duty POST=hold.placed
web:hold-ask hold                 POST=hold.lift_asked
web:hold-lift hold                POST=hold.lifted
"""

_TASKS = """
assistant.chat.tasks.answer       answer.shown,answer.refused,answer.cancelled,answer.failed
assistant.chat.tasks.sweep        answer.cancelled,answer.failed,conversation.erased,audit.content_erased
assistant.chat.tasks.retain       conversation.erased,audit.content_erased
assistant.chat.tasks.replay       answer.replayed
assistant.documents.tasks.ingest  document.ready,document.failed,document.quarantined
assistant.documents.tasks.sweep   -work
assistant.documents.tasks.tend    -work
assistant.quality.tasks.run       golden.run,golden.drifted
assistant.quality.tasks.look      -work
assistant.quality.tasks.evaluate  golden.run
assistant.tasks.work              model.changed,model.measured
assistant.tasks.sweep             -work
assistant.audit.tasks.checkpoint  audit.segment_sealed
assistant.audit.tasks.refusals    egress.refused
assistant.audit.tasks.denials     access.denied
assistant.audit.tasks.forward     audit.forwarding
"""

_COMMANDS = """
ask            answer.asked,answer.refused,answer.viewed
audit_export   audit.exported
audit_replay   answer.replayed
audit_roles    -host
audit_verify   -reads
create_token   token.issued
create_user    account.created
doctor         -reads
erase_person   account.erased,conversation.erased,audit.content_erased,hold.kept
evaluate       answer.asked,answer.refused,golden.changed,golden.run,golden.drifted
export_person  account.exported
hold           hold.placed,hold.lift_asked,hold.lifted
ingest         document.uploaded,document.replaced
models         model.changed,model.measured,golden.run,questions.made,questions.exported,questions.removed
paths          -reads
up             -host
vault          vault.rotated,document.erased,account.erased,audit.content_erased,conversation.erased
"""

# Words of the catalogue that nothing records: kept, since a log that holds them must stay readable.
UNUSED = ("team.deleted", "conversation.exported")


@dataclass(frozen=True, slots=True)
class Left:
    """What one method, task or command leaves: actions, or the reason why none."""

    actions: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """`kind` is what an `access.denied` of this address is about."""

    kind: str
    methods: dict[str, Left] = field(default_factory=dict)


def _left(text: str) -> Left:
    if text.startswith("-"):
        return Left(reason=REASONS[text[1:]])
    actions = tuple(text.split(","))
    if unknown := [name for name in actions if name not in catalogue.ACTIONS]:
        raise ValueError(f"not in the audit catalogue: {unknown}")
    return Left(actions)


def _address(line: str) -> tuple[str, Address]:
    name, kind, *methods = line.split()
    parts = (method.split("=", 1) for method in methods)
    return name, Address("" if kind == "-" else kind, {method: _left(text) for method, text in parts})


def _lines(table: str) -> list[str]:
    """Without empty ones, the indented ones joined to theirs."""
    return [" ".join(line.split()) for line in table.replace("\n ", " ").splitlines() if line]


ADDRESSES: dict[str, Address] = dict(map(_address, _lines(_ADDRESSES)))


def _lefts(table: str) -> dict[str, Left]:
    return {name: _left(text) for name, text in map(str.split, _lines(table))}


TASKS = _lefts(_TASKS)
COMMANDS = _lefts(_COMMANDS)


def kind(address: str) -> str:
    """What an address is about; "" for one that is not known here."""
    known = ADDRESSES.get(address)
    return known.kind if known else ""


def digest() -> str:
    """SHA-256 over the catalogue and this map: what a version of it says, to the letter."""
    lines = [f"{item.name} {item.severity} {item.words}" for item in catalogue.ACTIONS.values()]
    lines += [line for table in (_ADDRESSES, _TASKS, _COMMANDS) for line in _lines(table)]
    lines += [f"{name} {words}" for name, words in REASONS.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
