"""The language of the ledger's checks: comparisons and arithmetic over recorded values, and nothing else."""

import ast
import functools
import numbers
import operator

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARE = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS = {"abs": abs, "min": min, "max": max}
_COUNT = "count"  # how many of its conditions hold


class CheckError(ValueError):
    """An expression that is not in the language."""


def names(expression):
    """The recorded names that an expression reads."""
    return {node.id for node in ast.walk(_parse(expression)) if isinstance(node, ast.Name)} - {*_FUNCTIONS, _COUNT}


def evaluate(expression, values):
    """Whether `expression` holds for the recorded `values` (a dict of name to number, bool or string).

    Raises:
        CheckError: it does not parse, uses anything but comparisons, `and`/`or`/`not`, `+ - * /`, `abs`, `min`,
            `max`, `count` of conditions that hold, numbers, strings and recorded names, or its result is not true or
            false. Every part is computed, also where Python would stop early, so that no mistake stays hidden.
    """
    try:
        return _truth(_parse(expression), values)
    except (ArithmeticError, TypeError) as error:
        raise CheckError(f"{expression!r} cannot be computed: {error}") from error


@functools.cache
def _parse(expression):
    try:
        return ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise CheckError(f"{expression!r} does not parse: {error.msg}") from error


def _value(node, values):
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as constant):
            return constant
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Name(id=name):
            raise CheckError(f"{name!r} is not among the claim's evidence")
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(operand, values)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_number(left, values), _number(right, values))
        case ast.BoolOp(op=op, values=operands):
            return (all if isinstance(op, ast.And) else any)([_truth(operand, values) for operand in operands])
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in _COMPARE for op in ops):
            operands = [_value(operand, values) for operand in [left, *rest]]
            pairs = zip(ops, operands, operands[1:], strict=False)
            return all(_COMPARE[type(op)](a, b) for op, a, b in pairs)
        case ast.Call(func=ast.Name(id=function), args=conditions, keywords=[]) if function == _COUNT:
            return sum([_truth(condition, values) for condition in conditions])
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]) if function in _FUNCTIONS:
            return _FUNCTIONS[function](*[_value(argument, values) for argument in arguments])
    raise CheckError(f"{ast.unparse(node)!r} is not part of the check language")


def _truth(node, values):
    value = _value(node, values)
    if not isinstance(value, bool):
        raise CheckError(f"{ast.unparse(node)!r} gives {value!r}, which is neither true nor false")
    return value


def _number(node, values):
    value = _value(node, values)
    if not isinstance(value, numbers.Real):
        raise CheckError(f"{ast.unparse(node)!r} gives {value!r}, which is no number")
    return value
