"""Decides whether a regular expression of a tokenizer can be run by a backtracking engine.

The tokenizers library runs the expressions in tokenizer.json with such an engine, in which an
expression like ``(a+)+`` or ``(a|aa)+`` takes exponential time. Accepted are those without a
repeated group that has a repetition or alternatives, without references to groups, and with few
repetitions in a row. The expressions of the published models are like that.
"""

import re

_LONGEST = 4000
# What stands for itself: escaped characters, properties, and classes.
_ATOM = re.compile(r"\\[pP]\{\^?\w+\}|\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
_REFERENCE = re.compile(r"\\[1-9gk]|\(\?[P&R0-9+(]|\(\?<?[=!][^)]*[+*]")
_GROUP = re.compile(r"\((?:\?(?:[a-z-]*:|<?[=!]|>))?([^()]*)\)([+*?{]?)")
_ENDLESS = re.compile(r"[+*]|\{\d*,\}")
_MOST_IN_A_ROW = 4


def is_cheap(pattern: str) -> bool:
    """Return whether an expression takes time that is at most a small power of the text's length.

    Some expressions that are cheap are not recognised.
    """
    if len(pattern) > _LONGEST or _REFERENCE.search(pattern):
        return False
    plain = _ATOM.sub("x", pattern)
    while found := _GROUP.search(plain):
        inside, repeated = found[1], found[2]
        is_endless = _ENDLESS.search(inside) is not None
        if repeated in {"+", "*", "{"} and (is_endless or "|" in inside):
            return False
        # A group becomes what it is to the expression around it: one atom, endless or not.
        plain = f"{plain[: found.start()]}{'x+' if is_endless else 'x'}{plain[found.end(1) + 1 :]}"
    return all(len(_ENDLESS.findall(part)) <= _MOST_IN_A_ROW for part in plain.split("|"))
