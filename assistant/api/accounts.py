"""People, teams and tokens over REST. Parses, makes one domain call, renders; decides nothing."""

from __future__ import annotations

from typing import Any

from django.urls import path, reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts import policy, services
from assistant.accounts.models import ApiToken, Team, User
from assistant.accounts.roles import Duty, Role

from .base import CursorPage, Paged, View
from .forms import PAGING, valid

EMAIL = OpenApiParameter("email", str, required=True, description="The member's e-mail address.")


class UserSerializer(serializers.Serializer[User]):
    id = serializers.IntegerField(read_only=True)
    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.values)
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField(read_only=True)
    last_login = serializers.DateTimeField(read_only=True, allow_null=True)


class NewUserSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    role = serializers.ChoiceField(choices=Role.values, default=Role.EMPLOYEE.value)
    password = serializers.CharField(
        max_length=200,
        required=False,
        write_only=True,
        trim_whitespace=False,
        help_text="Without it one is made and returned, once.",
    )


class CreatedUserSerializer(UserSerializer):
    initial_password = serializers.CharField(required=False, help_text="Only when we made it; shown nowhere else.")


class UserChangeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    role = serializers.ChoiceField(choices=Role.values, required=False)
    is_active = serializers.BooleanField(required=False, help_text="false ends every session and token at once.")
    password = serializers.CharField(max_length=200, required=False, write_only=True, trim_whitespace=False)


class UserPageSerializer(Paged):
    results = UserSerializer(many=True)


class TeamSerializer(serializers.Serializer[Team]):
    slug = serializers.SlugField(max_length=60)
    name = serializers.CharField(max_length=120)


class TeamChangeSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)


class TeamPageSerializer(Paged):
    results = TeamSerializer(many=True)


class MemberSerializer(serializers.Serializer[User]):
    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(read_only=True)


class MemberPageSerializer(Paged):
    results = MemberSerializer(many=True)


class TokenSerializer(serializers.Serializer[ApiToken]):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=100)
    prefix = serializers.CharField(read_only=True)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=services.TOKEN_SCOPES), required=False, help_text="Empty: everything."
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    last_used_at = serializers.DateTimeField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)


class IssuedTokenSerializer(TokenSerializer):
    token = serializers.CharField(read_only=True, help_text="Shown only here.")


class TokenPageSerializer(Paged):
    results = TokenSerializer(many=True)


class ByEmail(CursorPage):
    ordering = "email"


class BySlug(CursorPage):
    ordering = "slug"


class ByAge(CursorPage):
    ordering = ("-created_at", "-id")


class PeopleView(View):
    duty = Duty.MANAGE_PEOPLE


class UsersView(PeopleView):
    @extend_schema(operation_id="users_list", parameters=PAGING, responses=UserPageSerializer)
    def get(self, request: Request) -> Response:
        """Everybody, for who manages people."""
        paginator = ByEmail()
        rows = paginator.paginate_queryset(policy.people(self.actor), request, view=self) or []
        return paginator.get_paginated_response([UserSerializer(row).data for row in rows])

    @extend_schema(request=NewUserSerializer, responses={201: CreatedUserSerializer})
    def post(self, request: Request) -> Response:
        """A new person. They sign in with the password given, or with the one returned."""
        data = valid(NewUserSerializer(data=request.data))
        made = None if "password" in data else services.generate_password()
        user = services.create_user(actor=self.actor, **{"password": made, **data})
        body = dict(UserSerializer(user).data)
        if made is not None:
            body["initial_password"] = made
        where = reverse("api-user", args=[user.pk])
        return Response(body, status=201, headers={"Location": where, "Cache-Control": "no-store"})


class UserView(PeopleView):
    @extend_schema(responses=UserSerializer)
    def get(self, request: Request, user: str) -> Response:
        return Response(UserSerializer(policy.get_person(self.actor, user)).data)

    @extend_schema(request=UserChangeSerializer, responses=UserSerializer)
    def patch(self, request: Request, user: str) -> Response:
        """Name, role, password, enabled or not. A change that takes rights away holds from the next request."""
        person = policy.get_person(self.actor, user)
        data = valid(UserChangeSerializer(data=request.data))
        return Response(UserSerializer(services.change_user(actor=self.actor, user=person, **data)).data)


class TeamsView(PeopleView):
    @extend_schema(operation_id="teams_list", parameters=PAGING, responses=TeamPageSerializer)
    def get(self, request: Request) -> Response:
        paginator = BySlug()
        rows = paginator.paginate_queryset(policy.teams(self.actor), request, view=self) or []
        return paginator.get_paginated_response([TeamSerializer(row).data for row in rows])

    @extend_schema(request=TeamSerializer, responses={201: TeamSerializer})
    def post(self, request: Request) -> Response:
        data = valid(TeamSerializer(data=request.data))
        team = services.create_team(actor=self.actor, **data)
        where = reverse("api-team", args=[team.slug])
        return Response(TeamSerializer(team).data, status=201, headers={"Location": where})


class TeamView(PeopleView):
    @extend_schema(responses=TeamSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(TeamSerializer(policy.get_team(self.actor, slug)).data)

    @extend_schema(request=TeamChangeSerializer, responses=TeamSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        team = policy.get_team(self.actor, slug)
        data = valid(TeamChangeSerializer(data=request.data))
        return Response(TeamSerializer(services.rename_team(actor=self.actor, team=team, **data)).data)


class MembersView(PeopleView):
    @extend_schema(operation_id="team_members_list", parameters=PAGING, responses=MemberPageSerializer)
    def get(self, request: Request, slug: str) -> Response:
        team = policy.get_team(self.actor, slug)
        paginator = ByEmail()
        rows = paginator.paginate_queryset(team.members.all(), request, view=self) or []
        return paginator.get_paginated_response([MemberSerializer(row).data for row in rows])

    @extend_schema(request=MemberSerializer, responses={201: MemberSerializer, 200: MemberSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Make a person a member; 200 when they were one already."""
        team = policy.get_team(self.actor, slug)
        data = valid(MemberSerializer(data=request.data))
        user = policy.get_person_by_email(self.actor, data["email"])
        created = services.add_member(actor=self.actor, team=team, user=user)
        return Response(MemberSerializer(user).data, status=201 if created else 200)

    @extend_schema(parameters=[EMAIL], responses={204: None})
    def delete(self, request: Request, slug: str) -> Response:
        """`?email=`: end a membership; 204 also when there was none."""
        team = policy.get_team(self.actor, slug)
        user = policy.get_person_by_email(self.actor, request.query_params.get("email", ""))
        services.remove_member(actor=self.actor, team=team, user=user)
        return Response(status=204)


class TokensView(View):
    @extend_schema(operation_id="tokens_list", parameters=PAGING, responses=TokenPageSerializer)
    def get(self, request: Request) -> Response:
        """The caller's own tokens; their text is never shown again."""
        paginator = ByAge()
        rows = paginator.paginate_queryset(policy.tokens(self.actor), request, view=self) or []
        return paginator.get_paginated_response([TokenSerializer(row).data for row in rows])

    @extend_schema(request=TokenSerializer, responses={201: IssuedTokenSerializer})
    def post(self, request: Request) -> Response:
        """A new token for the caller. Its text is in this answer only."""
        data = valid(TokenSerializer(data=request.data))
        by = request.auth if isinstance(request.auth, ApiToken) else None
        token, raw = services.issue_token(actor=self.actor, user=self.actor, by=by, **data)
        body = {**TokenSerializer(token).data, "token": raw}
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


class TokenView(View):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, token: str) -> Response:
        """Revoke one of the caller's own tokens."""
        services.revoke_token(actor=self.actor, token_id=token)
        return Response(status=204)


urlpatterns = [
    path("users/", UsersView.as_view(), name="api-users"),
    path("users/<slug:user>/", UserView.as_view(), name="api-user"),
    path("teams/", TeamsView.as_view(), name="api-teams"),
    path("teams/<slug:slug>/", TeamView.as_view(), name="api-team"),
    path("teams/<slug:slug>/members/", MembersView.as_view(), name="api-team-members"),
    path("tokens/", TokensView.as_view(), name="api-tokens"),
    path("tokens/<slug:token>/", TokenView.as_view(), name="api-token"),
]
