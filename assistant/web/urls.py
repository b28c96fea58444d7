"""The addresses of the pages. Every view is `guarded`: signed in, and expected failures become pages."""

from __future__ import annotations

from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter

from . import account, asking, auditing, document, holding, library, operations, people, privacy, quality, reviewing
from .errors import View, guarded

app_name = "web"


class _Reference(StringConverter):
    """How a grant is named: "user-3", "team-5", "everyone"."""

    regex = r"[a-z]+(?:-\d+)?"


register_converter(_Reference, "grant")


def _page(route: str, view: View, name: str, *, public: bool = False) -> URLPattern:
    return path(route, guarded(view, public=public), name=name)


urlpatterns = [
    _page("", asking.ask, "ask"),
    _page("conversations/", asking.conversations, "conversations"),
    _page("conversations/<uuid:conversation_id>/", asking.conversation, "conversation"),
    _page("conversations/<uuid:conversation_id>/rename/", asking.rename, "conversation-rename"),
    _page("conversations/<uuid:conversation_id>/delete/", asking.delete, "conversation-delete"),
    _page("conversations/<uuid:conversation_id>/restore/", asking.restore, "conversation-restore"),
    _page("answers/<uuid:answer_id>/stop/", asking.stop, "answer-stop"),
    _page("answers/<uuid:answer_id>/again/", asking.again, "answer-again"),
    _page("answers/<uuid:answer_id>/feedback/", asking.feedback, "answer-feedback"),
    _page("library/", library.library, "library"),
    _page("library/new/", library.new_collection, "collection-new"),
    _page("library/search/", library.search, "search"),
    _page("library/<slug:slug>/", library.collection, "collection"),
    _page("library/<slug:slug>/upload/", library.upload, "collection-upload"),
    _page("library/<slug:slug>/bulk/", library.bulk, "collection-bulk"),
    _page("library/<slug:slug>/settings/", library.settings, "collection-settings"),
    _page("library/<slug:slug>/delete/", library.delete_collection, "collection-delete"),
    _page("library/<slug:slug>/access/", library.access, "collection-access"),
    _page("library/<slug:slug>/access/<grant:grant>/revoke/", library.revoke, "collection-revoke"),
    _page("documents/<uuid:document_id>/", document.document, "document"),
    _page("documents/<uuid:document_id>/pages/<int:number>/", document.page, "document-page"),
    _page("documents/<uuid:document_id>/pages/<int:number>/picture/", document.picture, "document-picture"),
    _page("documents/<uuid:document_id>/file/", document.original, "document-file"),
    _page("documents/<uuid:document_id>/reveal/", document.reveal, "document-reveal"),
    _page("documents/<uuid:document_id>/details/", document.details, "document-details"),
    _page("documents/<uuid:document_id>/version/", document.new_version, "document-version"),
    _page("documents/<uuid:document_id>/move/", document.move, "document-move"),
    _page("documents/<uuid:document_id>/retry/", document.retry, "document-retry"),
    _page("documents/<uuid:document_id>/cancel/", document.cancel, "document-cancel"),
    _page("documents/<uuid:document_id>/release/", document.release, "document-release"),
    _page("documents/<uuid:document_id>/delete/", document.delete, "document-delete"),
    _page("documents/<uuid:document_id>/access/", document.access, "document-access"),
    _page("documents/<uuid:document_id>/access/lift/", document.unrestrict, "document-unrestrict"),
    _page("documents/<uuid:document_id>/access/<grant:grant>/revoke/", document.revoke, "document-revoke"),
    _page("library/<slug:slug>/personal-data/", privacy.collection, "collection-privacy"),
    _page("personal-data/", privacy.corpus, "personal-data"),
    _page("personal-data/export/", privacy.export, "personal-data-export"),
    _page("personal-data/dictionary/", privacy.dictionary, "personal-data-dictionary"),
    _page("people/", people.people, "people"),
    _page("people/new/", people.new_person, "person-new"),
    _page("people/<int:user_id>/", people.person, "person"),
    _page("people/<int:user_id>/password/", people.password, "person-password"),
    _page("people/<int:user_id>/disable/", people.disable, "person-disable"),
    _page("people/<int:user_id>/erase/", people.erase, "person-erase"),
    _page("people/<int:user_id>/enable/", people.enable, "person-enable"),
    _page("people/teams/new/", people.new_team, "team-new"),
    _page("people/teams/<slug:slug>/", people.team, "team"),
    _page("people/teams/<slug:slug>/members/add/", people.add_member, "team-add"),
    _page("people/teams/<slug:slug>/members/<int:user_id>/remove/", people.remove_member, "team-remove"),
    _page("account/", account.account, "account"),
    _page("account/export/", account.export, "account-export"),
    _page("account/tokens/", account.tokens, "tokens"),
    _page("account/tokens/<int:token_id>/revoke/", account.revoke, "token-revoke"),
    _page("preferences/", account.preferences, "preferences", public=True),
    _page("models/", operations.models, "models"),
    _page("models/activate/", operations.activate, "models-activate"),
    _page("models/quotations/", operations.deactivate, "models-quotations"),
    _page("models/verify/", operations.verify, "models-verify"),
    _page("models/import/", operations.bring_in, "models-import"),
    _page("models/evaluate/", operations.evaluate, "models-evaluate"),
    _page("models/benchmark/", operations.benchmark, "models-benchmark"),
    _page("models/quantize/", operations.quantize, "models-quantize"),
    _page("models/jobs/<int:number>/stop/", operations.stop, "models-job-stop"),
    _page("models/remove/", operations.remove, "models-remove"),
    _page("quality/", quality.quality, "quality"),
    _page("quality/questions/", quality.questions, "quality-questions"),
    _page("quality/start/", quality.start, "quality-start"),
    _page("quality/schedule/", quality.schedule, "quality-schedule"),
    _page("quality/runs/<int:run_id>/", quality.run, "quality-run"),
    _page("quality/runs/<int:run_id>/reference/", quality.reference, "quality-reference"),
    _page("health/", operations.health, "health"),
    _page("audit/", auditing.timeline, "audit"),
    _page("audit/verify/", auditing.verify, "audit-verify"),
    _page("audit/export/", auditing.export, "audit-export"),
    _page("audit/<int:seq>/", auditing.event, "audit-event"),
    _page("audit/<int:seq>/open/", reviewing.ask_to_open, "audit-open-ask"),
    _page("audit/sights/", reviewing.sights, "audit-sights"),
    _page("audit/digest/", reviewing.digest, "audit-digest"),
    _page("audit/permits/", reviewing.permits, "audit-permits"),
    _page("audit/permits/<int:permit_id>/decide/", reviewing.decide, "audit-permit-decide"),
    _page("audit/permits/<int:permit_id>/open/", reviewing.open_text, "audit-permit-open"),
    _page("holds/", holding.holds, "holds"),
    _page("holds/<int:hold_id>/ask/", holding.ask_to_lift, "hold-ask"),
    _page("holds/<int:hold_id>/lift/", holding.lift, "hold-lift"),
    _page("audit/permits/<int:permit_id>/prune/", reviewing.prune, "audit-permit-prune"),
    _page("audit/searches/", reviewing.queries, "audit-queries"),
    _page("audit/searches/<int:query_id>/remove/", reviewing.forget, "audit-query-remove"),
    _page("audit/pruning/", reviewing.pruning, "audit-pruning"),
    _page("audit/answers/<uuid:answer_id>/", reviewing.replayed, "audit-replay"),
    _page("account/openings/", reviewing.openings, "openings"),
]
