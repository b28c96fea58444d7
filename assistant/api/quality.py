"""The golden set over REST, for administrators: questions, runs, schedule. Parses, makes one domain call, renders."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts.roles import Duty
from assistant.errors import NotFound
from assistant.quality import services
from assistant.quality.models import Every, GoldenRun, RunStatus, Why

from .base import NewestFirst, Paged, View
from .forms import PAGING, Text, valid


class QuestionsInSerializer(serializers.Serializer[Any]):
    text = Text(trim_whitespace=False, max_length=services.MOST_BYTES, help_text="JSON lines; each names its asker.")


class QuestionsSerializer(serializers.Serializer[Any]):
    digest = serializers.CharField(help_text="SHA-256 of the text.")
    questions = serializers.IntegerField()
    at = serializers.DateTimeField()
    text = serializers.CharField()


class ChangeSerializer(serializers.Serializer[Any]):
    measure = serializers.CharField()
    questions = serializers.IntegerField()
    before = serializers.FloatField()
    now = serializers.FloatField()
    low = serializers.FloatField(help_text="Of the change, 95 %.")
    high = serializers.FloatField()
    chance = serializers.FloatField(help_text="Of such a fall if nothing had changed.")
    alarm = serializers.BooleanField()


class RunSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    status = serializers.ChoiceField(choices=RunStatus.choices)
    why = serializers.ChoiceField(choices=Why.choices)
    questions = serializers.CharField(source="questions.digest", help_text="SHA-256 of the questions asked.")
    engine = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True)
    digest = serializers.CharField(allow_blank=True, help_text="Of the model's manifest.")
    recipe = serializers.CharField(allow_blank=True)
    code = serializers.CharField(allow_blank=True)
    asked = serializers.SerializerMethodField()
    summary = serializers.DictField(help_text="The figures; empty until the run is done.")
    drift = ChangeSerializer(many=True, help_text="Beside the reference run.")
    alarm = serializers.BooleanField()
    reference = serializers.BooleanField()
    error = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_asked(self, run: GoldenRun) -> int:
        return len(run.marks)


class RunPageSerializer(Paged):
    results = RunSerializer(many=True)


class PolicySerializer(serializers.Serializer[Any]):
    every = serializers.ChoiceField(choices=Every.choices, required=False)
    conversations = serializers.BooleanField(
        required=False, help_text="Whether question files may be made from conversations; off by default."
    )


class QualityView(View):
    scope_read = "manage"
    scope_write = "manage"
    duty = Duty.MANAGE_MODELS


class QuestionsView(QualityView):
    @extend_schema(operation_id="quality_questions_get", responses=QuestionsSerializer)
    def get(self, request: Request) -> Response:
        """The golden questions; 404 while there are none."""
        found = services.golden()
        if found is None:
            raise NotFound
        return Response(QuestionsSerializer(found).data)

    @extend_schema(operation_id="quality_questions_put", request=QuestionsInSerializer, responses=QuestionsSerializer)
    def put(self, request: Request) -> Response:
        """Replace them; the history begins anew. 400 names the line that is wrong."""
        given = valid(QuestionsInSerializer(data=request.data))
        return Response(QuestionsSerializer(services.write(actor=self.actor, text=given["text"])).data)


class RunsView(QualityView):
    @extend_schema(operation_id="quality_runs_list", parameters=PAGING, responses=RunPageSerializer)
    def get(self, request: Request) -> Response:
        """Every run, newest first."""
        paginator = NewestFirst()
        rows = paginator.paginate_queryset(services.runs(), request, view=self) or []
        return paginator.get_paginated_response(RunSerializer(rows, many=True).data)

    @extend_schema(operation_id="quality_runs_start", request=None, responses={202: RunSerializer})
    def post(self, request: Request) -> Response:
        """Ask everything now, in the workers; a run that is under way is that one."""
        return Response(RunSerializer(services.start(actor=self.actor)).data, status=202)


class RunView(QualityView):
    @extend_schema(operation_id="quality_run_get", responses=RunSerializer)
    def get(self, request: Request, run_id: int) -> Response:
        return Response(RunSerializer(services.run_of(actor=self.actor, run_id=run_id)).data)


class ReferenceView(QualityView):
    @extend_schema(operation_id="quality_run_reference", request=None, responses=RunSerializer)
    def post(self, request: Request, run_id: int) -> Response:
        """Hold later runs against this one."""
        return Response(RunSerializer(services.choose_reference(actor=self.actor, run_id=run_id)).data)


class PolicyView(QualityView):
    @extend_schema(operation_id="quality_policy_get", responses=PolicySerializer)
    def get(self, request: Request) -> Response:
        return Response(PolicySerializer(services.policy()).data)

    @extend_schema(operation_id="quality_policy_patch", request=PolicySerializer, responses=PolicySerializer)
    def patch(self, request: Request) -> Response:
        """Change the schedule, or whether conversations may be used. Recorded."""
        given = valid(PolicySerializer(data=request.data))
        return Response(PolicySerializer(services.choose(actor=self.actor, **given)).data)


urlpatterns = [
    path("quality/questions/", QuestionsView.as_view(), name="api-quality-questions"),
    path("quality/runs/", RunsView.as_view(), name="api-quality-runs"),
    path("quality/runs/<int:run_id>/", RunView.as_view(), name="api-quality-run"),
    path("quality/runs/<int:run_id>/reference/", ReferenceView.as_view(), name="api-quality-reference"),
    path("quality/policy/", PolicyView.as_view(), name="api-quality-policy"),
]
