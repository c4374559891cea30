"""No word that a caller may set gets into a page as markup."""

import dataclasses

from implicit_bias.theorems.ledger import Row, table
from implicit_bias.theorems.verdict import Verdict

MARKUP = "<script>x</script>"


def filled(kind, **given):
    """An instance of a record with markup in every field that holds text, checks of its
    making left out.
    """
    one = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(one, field.name, given.get(field.name, MARKUP))
    return one


def test_verdict():
    assert MARKUP not in filled(Verdict, slack=1.0)._repr_html_()


def test_ledger():
    assert MARKUP not in table([filled(Row, id="F-3.2.6", slack=1.0)])
