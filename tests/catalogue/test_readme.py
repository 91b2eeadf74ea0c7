"""READMEs in a page: Markdown is rendered, and nothing of its author's runs or loads."""

import pytest

from mealkit.catalogue.readme import readme_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# A\n\n##### B", "<h3>A</h3>\n<h6>B</h6>\n"),
        ("**a** `b`\n\n- c", "<p><strong>a</strong> <code>b</code></p>\n<ul>\n<li>c</li>\n</ul>\n"),
        ("```sh onclick\na < b\n```", "<pre><code>a &lt; b\n</code></pre>\n"),
        ("a  \nb", "<p>a<br />\nb</p>\n"),
        (
            "[site](https://example.org/?a=1&b=%22 'title')",
            '<p><a href="https://example.org/?a=1&amp;b=%22" rel="noreferrer nofollow">site</a></p>\n',
        ),
    ],
)
def test_markdown_is_rendered(text, html):
    """Headings are below those of the page, and a link tells the other site nothing."""
    assert readme_html(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
        ("a <img src=x onerror=alert(1)>", "<p>a &lt;img src=x onerror=alert(1)&gt;</p>\n"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("[x](JaVaScRiPt:alert(1))", "<p>[x](JaVaScRiPt:alert(1))</p>\n"),
        ("[x](data:text/html,1)", "<p>[x](data:text/html,1)</p>\n"),
        ("[x](../other.html)", "<p>[x](../other.html)</p>\n"),
        ("![shot](https://example.org/a.png)", "<p>[image: shot]</p>\n"),
        ("a\u202eb\x1b", "<p>a\ufffdb\ufffd</p>\n"),
        ('<https://a.example/"onmouseover=1>', '"https://a.example/%22onmouseover=1"'),
    ],
)
def test_nothing_of_the_author_runs_or_loads(text, html):
    """HTML is shown as text; scripts, images, and links to files or scripts are not links."""
    assert html in readme_html(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        "*a" * 60_000,
        "> " * 60_000,
        "<" * 120_000,
        "|a" * 30_000 + "\n" + "|-" * 30_000,
    ],
)
def test_a_readme_made_to_be_slow_is_rendered(text):
    """Brackets, stars, quotes and tables without end; a README has at most 256 KiB."""
    assert readme_html(text)
