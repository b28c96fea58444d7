"""The language models of this machine over REST, for administrators: as on the page "Models", by the same calls."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from assistant.accounts.roles import Duty
from assistant.models import ActivationState, JobKind, JobState
from assistant.quality import administering as models
from assistant.registry import activation, benchmarking, quantizing

from .base import NewestFirst, Paged, View
from .forms import PAGING, Text, valid


class FileSerializer(serializers.Serializer[Any]):
    path = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()


class GateSerializer(serializers.Serializer[Any]):
    perplexity_before = serializers.FloatField()
    perplexity_after = serializers.FloatField()
    agreement = serializers.FloatField(help_text="How often the next word is the original's, 0 to 1.")
    max_loss = serializers.FloatField()
    min_agreement = serializers.FloatField()
    forced = serializers.BooleanField(help_text="A person let it pass in spite of the limits.")


class AdapterSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes of its weights.")
    sha256 = serializers.CharField(help_text="Of its weights.")
    base = serializers.CharField(help_text="The model it was put on top of.")
    base_licence = serializers.CharField()


class ModelSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    kind = serializers.CharField(help_text="safetensors or gguf.")
    architecture = serializers.CharField()
    recipe = serializers.CharField(allow_blank=True, help_text="How its weights are quantized; empty: they are not.")
    size = serializers.IntegerField(help_text="Bytes on the disk.")
    digest = serializers.CharField(help_text="SHA-256 of all its files.")
    licence = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    revision = serializers.CharField(allow_blank=True)
    imported_at = serializers.DateTimeField()
    imported_by = serializers.CharField()
    adapter = AdapterSerializer(allow_null=True, help_text="The LoRA adapter it was made with.")


class ModelsSerializer(serializers.Serializer[Any]):
    results = ModelSerializer(many=True)


class ManifestSerializer(ModelSerializer):
    template_sha256 = serializers.CharField(allow_blank=True, help_text="Of the chat template.")
    parent = serializers.CharField(  # type: ignore[assignment]
        allow_blank=True, help_text="Digest of the model it was made from."
    )
    gate = GateSerializer(allow_null=True, help_text="What quantizing it here lost.")
    files = FileSerializer(many=True)


class ActiveSerializer(serializers.Serializer[Any]):
    engine = serializers.CharField(help_text="extractive: answers are quotations, and no model is loaded.")
    name = serializers.CharField(allow_blank=True)
    quantization = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(choices=ActivationState.choices)
    problem = serializers.CharField(allow_blank=True, help_text="Why it could not be loaded.")
    at = serializers.DateTimeField(allow_null=True, help_text="Null: the settings decide.")


class ActivateSerializer(serializers.Serializer[Any]):
    name = Text(max_length=100)
    quantization = serializers.ChoiceField(choices=activation.RECIPES, default="auto")
    reason = Text(max_length=500, allow_blank=True, default="", help_text="For going without an evaluation; recorded.")


class DroppedSerializer(serializers.Serializer[Any]):
    entry = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes that would be copied.")
    files = serializers.IntegerField()
    name = serializers.CharField(allow_blank=True, help_text="That it may have here.")
    licence = serializers.CharField(allow_blank=True, help_text="That its card names.")
    problem = serializers.CharField(allow_blank=True, help_text="Why it cannot be imported.")
    adapter = serializers.BooleanField(help_text="A LoRA adapter, which goes on top of an installed model.")
    trained_on = serializers.CharField(allow_blank=True, help_text="What an adapter says of that model.")
    bases = serializers.ListField(child=serializers.CharField(), help_text="The installed models of its kind.")


class DropSerializer(serializers.Serializer[Any]):
    results = DroppedSerializer(many=True)


class ImportSerializer(serializers.Serializer[Any]):
    entry = Text(max_length=255)
    name = Text(max_length=100)
    licence = Text(max_length=100)
    revision = Text(max_length=100, allow_blank=True, default="")
    base = Text(max_length=100, allow_blank=True, default="", help_text="Of an adapter: the model it goes on top of.")


class QuantizeSerializer(serializers.Serializer[Any]):
    recipe = serializers.ChoiceField(choices=quantizing.RECIPES)


class BenchmarkSerializer(serializers.Serializer[Any]):
    users = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=benchmarking.MOST_USERS),
        min_length=1,
        max_length=benchmarking.MOST_NUMBERS,
        default=[1, 8],
        help_text="How many ask at once, one measurement each.",
    )
    tokens = serializers.IntegerField(min_value=1, max_value=benchmarking.MOST_TOKENS, default=64)
    against = Text(max_length=100, allow_blank=True, default="", help_text="Of a GGUF model: what it was made from.")


class ModelJobSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    kind = serializers.ChoiceField(choices=JobKind.choices)
    target = serializers.CharField(help_text="The model that is made or measured.")
    source = serializers.CharField(  # type: ignore[assignment]
        source="name", help_text="What it is made of: a model, or an entry to import."
    )
    recipe = serializers.CharField(allow_blank=True)
    options = serializers.DictField(help_text="Settings of a benchmark; base: of an adapter that is imported.")
    state = serializers.ChoiceField(choices=JobState.choices)
    stage = serializers.CharField(allow_blank=True)
    progress = serializers.IntegerField(help_text="Of the stage, per cent.")
    problem = serializers.CharField(allow_blank=True)
    result = serializers.DictField(help_text="Empty until it is done; of a benchmark: digest, machine, figures.")
    by = serializers.CharField()
    at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ModelJobPageSerializer(Paged):
    results = ModelJobSerializer(many=True)


class ModelView(View):
    scope_read = "manage"
    scope_write = "manage"
    duty = Duty.MANAGE_MODELS

    @staticmethod
    def begun(job: Any) -> Response:
        return Response(ModelJobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class ModelsView(ModelView):
    @extend_schema(operation_id="models_list", responses=ModelsSerializer)
    def get(self, request: Request) -> Response:
        """Every installed model, by name."""
        return Response(ModelsSerializer({"results": models.installed(self.actor)}).data)


class OneModelView(ModelView):
    @extend_schema(operation_id="models_get", responses=ManifestSerializer)
    def get(self, request: Request, name: str) -> Response:
        """A model with its manifest: every file, and what quantizing lost."""
        return Response(ManifestSerializer(models.model(self.actor, name)).data)

    @extend_schema(operation_id="models_remove", responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Take it off the disk; 409 while it answers or work on it goes on."""
        models.remove(self.actor, name)
        return Response(status=status.HTTP_204_NO_CONTENT)


class VerifyView(ModelView):
    @extend_schema(operation_id="models_verify", request=None, responses=ManifestSerializer)
    def post(self, request: Request, name: str) -> Response:
        """Read every file again; 409 names the first that is not as it was imported."""
        return Response(ManifestSerializer(models.verify(self.actor, name)).data)


class QuantizeView(ModelView):
    @extend_schema(operation_id="models_quantize", request=QuantizeSerializer, responses={202: ModelJobSerializer})
    def post(self, request: Request, name: str) -> Response:
        """Have a smaller copy made, NAME-RECIPE, installed if it passes its measurement."""
        return self.begun(models.quantize(self.actor, name, **valid(QuantizeSerializer(data=request.data))))


class EvaluateView(ModelView):
    @extend_schema(operation_id="models_evaluate", request=None, responses={202: ModelJobSerializer})
    def post(self, request: Request, name: str) -> Response:
        """Have the golden set asked of it."""
        return self.begun(models.evaluate(self.actor, name))


class BenchmarkView(ModelView):
    @extend_schema(operation_id="models_benchmark", request=BenchmarkSerializer, responses={202: ModelJobSerializer})
    def post(self, request: Request, name: str) -> Response:
        """Have its speed measured; the figures are the job's result."""
        return self.begun(models.benchmark(self.actor, name, **valid(BenchmarkSerializer(data=request.data))))


class ActiveView(ModelView):
    @extend_schema(operation_id="active_model_get", responses=ActiveSerializer)
    def get(self, request: Request) -> Response:
        """What was chosen to answer, and what came of it."""
        return Response(ActiveSerializer(models.active(self.actor)).data)

    @extend_schema(operation_id="active_model_put", request=ActivateSerializer, responses=ActiveSerializer)
    def put(self, request: Request) -> Response:
        """Let an installed model answer, on its evaluation or with a reason; its files are checked first."""
        asked = valid(ActivateSerializer(data=request.data))
        return Response(ActiveSerializer(models.activate(self.actor, asked.pop("name"), **asked)).data)

    @extend_schema(operation_id="active_model_delete", responses=ActiveSerializer)
    def delete(self, request: Request) -> Response:
        """Back to quotations."""
        return Response(ActiveSerializer(models.quotations(self.actor)).data)


class ImportsView(ModelView):
    @extend_schema(operation_id="model_imports_list", responses=DropSerializer)
    def get(self, request: Request) -> Response:
        """What lies in the drop folder of the server."""
        return Response(DropSerializer({"results": models.dropped(self.actor)}).data)

    @extend_schema(operation_id="model_imports_start", request=ImportSerializer, responses={202: ModelJobSerializer})
    def post(self, request: Request) -> Response:
        """Have something of the drop folder imported."""
        return self.begun(models.bring_in(self.actor, **valid(ImportSerializer(data=request.data))))


class JobsView(ModelView):
    @extend_schema(operation_id="model_jobs_list", parameters=PAGING, responses=ModelJobPageSerializer)
    def get(self, request: Request) -> Response:
        """Work on models, newest first."""
        paginator = NewestFirst()
        rows = paginator.paginate_queryset(models.jobs_of(self.actor), request, view=self) or []
        return paginator.get_paginated_response(ModelJobSerializer(rows, many=True).data)


class JobView(ModelView):
    @extend_schema(operation_id="model_jobs_get", responses=ModelJobSerializer)
    def get(self, request: Request, number: int) -> Response:
        """One job: how far it is, and what came of it."""
        return Response(ModelJobSerializer(models.job(self.actor, number)).data)


class StopView(ModelView):
    @extend_schema(operation_id="model_jobs_stop", request=None, responses=ModelJobSerializer)
    def post(self, request: Request, number: int) -> Response:
        """End work that goes on; 404 when it has ended."""
        models.stop(self.actor, number)
        return Response(ModelJobSerializer(models.job(self.actor, number)).data)


urlpatterns = [
    path("models/", ModelsView.as_view(), name="api-models"),
    path("models/<str:name>/", OneModelView.as_view(), name="api-model"),
    path("models/<str:name>/verify/", VerifyView.as_view(), name="api-model-verify"),
    path("models/<str:name>/quantize/", QuantizeView.as_view(), name="api-model-quantize"),
    path("models/<str:name>/evaluate/", EvaluateView.as_view(), name="api-model-evaluate"),
    path("models/<str:name>/benchmark/", BenchmarkView.as_view(), name="api-model-benchmark"),
    path("active-model/", ActiveView.as_view(), name="api-active-model"),
    path("model-imports/", ImportsView.as_view(), name="api-model-imports"),
    path("model-jobs/", JobsView.as_view(), name="api-model-jobs"),
    path("model-jobs/<int:number>/", JobView.as_view(), name="api-model-job"),
    path("model-jobs/<int:number>/stop/", StopView.as_view(), name="api-model-job-stop"),
]
