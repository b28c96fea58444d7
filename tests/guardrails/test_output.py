"""A model's words leave as text."""

from assistant.guardrails import output


def test_images_links_and_tags_become_plain_words():
    text = "See ![x](https://evil.example/?q=1) and [the page](https://evil.example/) <img src=x onerror=y> a < b."
    assert output.screen(text) == "See  and the page  a < b."
