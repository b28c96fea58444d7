"""Bearer tokens: shown once, kept as a digest, ended by expiry, revocation and disabling."""

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from assistant.accounts import services, tokens
from assistant.accounts.models import ApiToken
from assistant.audit.models import AuditEvent
from assistant.errors import Conflict, Invalid, NotFound, PermissionRefused

pytestmark = pytest.mark.django_db


def issue(user, **kwargs):
    return services.issue_token(actor=user, user=user, name="laptop", **kwargs)


def test_a_token_works_and_only_its_digest_is_kept(people):
    token, raw = issue(people.employee)
    assert raw.startswith("pa_")
    assert len(raw) == 46
    assert services.authenticate_token(raw) == token
    row = ApiToken.objects.values().get()
    assert row["digest"] == hashlib.sha256(raw.encode()).hexdigest()
    assert raw not in str(row)
    assert raw[8:] not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    "raw", ["", "pa_", "pa_" + "x" * 43, "PA_" + "x" * 43, "pa_" + "x" * 10_000, "pa_ü" + "x" * 42]
)
def test_a_wrong_token_is_nobody(people, raw):
    issue(people.employee)
    assert services.authenticate_token(raw) is None


def test_an_expired_token_is_nobody(people):
    token, raw = issue(people.employee, expires_at=timezone.now() + timedelta(hours=1))
    assert services.authenticate_token(raw)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert services.authenticate_token(raw) is None


def test_a_revoked_token_is_nobody(people):
    token, raw = issue(people.employee)
    services.revoke_token(actor=people.employee, token_id=token.pk)
    assert services.authenticate_token(raw) is None
    with pytest.raises(NotFound):
        services.revoke_token(actor=people.employee, token_id=token.pk)
    actions = AuditEvent.objects.order_by("seq").values_list("action", flat=True)
    assert list(actions) == ["token.issued", "token.revoked"]


def test_disabling_ends_tokens_for_good(people):
    _token, raw = issue(people.employee)
    services.disable_user(actor=people.administrator, user=people.employee)
    assert services.authenticate_token(raw) is None
    services.enable_user(actor=people.administrator, user=people.employee)
    assert services.authenticate_token(raw) is None


def test_nobody_revokes_anothers_token(people):
    token, raw = issue(people.employee)
    for other in (people.administrator, people.outsider):
        with pytest.raises(NotFound):
            services.revoke_token(actor=other, token_id=token.pk)
    assert services.authenticate_token(raw)


def test_nobody_makes_a_token_for_another(people):
    with pytest.raises(PermissionRefused):
        services.issue_token(actor=people.administrator, user=people.employee, name="x")


def test_scopes_are_ours_in_our_order(people):
    token, _raw = issue(people.employee, scopes=["read", "ask", "ask"])
    assert token.scopes == ["ask", "read"]
    with pytest.raises(Invalid):
        issue(people.employee, scopes=["root"])


def test_past_expiry_nameless_and_too_many_are_refused(people):
    with pytest.raises(Invalid):
        issue(people.employee, expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Invalid):
        services.issue_token(actor=people.employee, user=people.employee, name=" \u200b ")
    for _ in range(tokens.TOKENS_PER_PERSON):
        issue(people.employee)
    with pytest.raises(Conflict):
        issue(people.employee)


def test_last_use_is_noted_at_most_once_a_minute(people, django_assert_num_queries):
    token, raw = issue(people.employee)
    assert services.authenticate_token(raw).last_used_at is not None
    first = ApiToken.objects.get(pk=token.pk).last_used_at
    with django_assert_num_queries(1):
        services.authenticate_token(raw)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=first - timedelta(seconds=61))
    services.authenticate_token(raw)
    assert ApiToken.objects.get(pk=token.pk).last_used_at > first
