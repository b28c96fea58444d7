"""`make up MODEL=OWNER/NAME`: the whole product, from a hub's repository to an answer of its model."""

import time

from tests.faults.product import Product
from tests.inference.models.conftest import build_qwen2, with_room
from tests.inference.models.hub import REVISION, running_hub


def test_one_command_pulls_checks_quantizes_and_activates_a_model_that_answers(tmp_path):
    folder = with_room(build_qwen2(tmp_path / "built"), tmp_path / "tiny")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with running_hub(folder) as hub:
        chosen = {"MODEL": "acme/tiny", "MODEL_HUB": hub.url, "ENGINE": "auto", "PYTHONUNBUFFERED": "1"}
        with Product(data, settings=chosen) as product:
            told = (data / "up.log").read_text()
            with product.client() as client:
                text = "The travel allowance in Germany is 28 euros a day. " * 5
                file = {"file": ("travel.md", f"# Travel\n\n{text}".encode())}
                client.post("/api/v1/documents/", data={"collection": "papers"}, files=file).raise_for_status()
                product.wait_for_documents()
                asked = {"question": "What is the travel allowance in Germany?"}
                answer = client.post("/api/v1/answers/?wait=50", json=asked).raise_for_status().json()
                for _ in range(300):
                    if answer["status"] == "done":
                        break
                    time.sleep(1)
                    answer = client.get(f"/api/v1/answers/{answer['id']}/").raise_for_status().json()
    assert f"Pulling acme/tiny at {REVISION}" in told
    assert "Quantizing as dynamic8" in told
    assert told.index("Pulling") < told.index("Quantizing") < told.index("Ready: ")
    assert answer["status"] == "done"
    assert answer["engine"] == "transformers"
    assert answer["model"].startswith("tiny-dynamic8")
