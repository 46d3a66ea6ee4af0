"""Gathering of numbered wire members into SAL arrays, and back.

The TMA sends an array of n elements as n scalar members, numbered from 1:
``current`` x 16 arrives as ``current1`` .. ``current16``, its time stamps as
``current1Timestamp`` .. ``current16Timestamp``.
"""

import inspect
from collections.abc import Iterable, Mapping

from cpython.dict cimport PyDict_GetItemWithError, PyDict_SetItem
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM

cdef str TIMESTAMP = "Timestamp"


cdef object make_signature(dict parameters):
    """Describe a constructor to `inspect.signature`, as Cython does not; its last parameter is optional."""
    cdef list listed = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
        for name, annotation in parameters.items()
    ]
    listed[-1] = listed[-1].replace(default=None)
    return inspect.Signature(listed)


def member_names(field_name: str, num_elements: int) -> tuple[str, ...]:
    """Name the wire members that carry a SAL field, one for each element.

    The number goes before a trailing ``Timestamp``. One element means a scalar, whose member
    has the field's own name.
    """
    if num_elements < 1:
        raise ValueError(f"{field_name}: expected one element at least, got {num_elements}")
    if num_elements == 1:
        return (field_name,)
    stem = field_name.removesuffix(TIMESTAMP)
    suffix = field_name[len(stem):]
    return tuple(f"{stem}{i}{suffix}" for i in range(1, num_elements + 1))


cdef class ArrayFunctor:
    """Convert between the numbered wire members of an array and its SAL value.

    Parameters
    ----------
    field_name : `str`
        Name of the SAL field.
    num_elements : `int`
        Number of elements.
    members : `Iterable` [`str`], optional
        The wire members; those of `member_names` by default.
    """

    __signature__ = make_signature(
        {"field_name": str, "num_elements": int, "members": Iterable[str] | None}
    )

    cdef readonly str field_name
    cdef readonly Py_ssize_t num_elements
    cdef readonly tuple members

    def __cinit__(self, field_name: str, num_elements: int, members: object = None) -> None:
        self.field_name = field_name
        self.num_elements = num_elements
        self.members = member_names(field_name, num_elements) if members is None else tuple(members)
        if len(self.members) != num_elements:
            raise ValueError(f"{field_name}: expected {num_elements} members, got {len(self.members)}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.field_name!r}, {self.num_elements})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.field_name, self.num_elements, self.members)

    def sal_value_from_llv_dict(self, data_dict: Mapping[str, object]) -> list[object]:
        """Return the elements in order, as a list; KeyError if a member is missing."""
        cdef dict data = data_dict if type(data_dict) is dict else dict(data_dict)
        cdef list elements = PyList_New(self.num_elements)
        cdef Py_ssize_t i
        cdef PyObject* value
        for i in range(self.num_elements):
            value = PyDict_GetItemWithError(data, <object>PyTuple_GET_ITEM(self.members, i))
            if value == NULL:
                raise KeyError(self.members[i])
            Py_INCREF(<object>value)
            PyList_SET_ITEM(elements, i, <object>value)
        return elements

    def llv_dict_from_sal_value(self, value: object) -> dict[str, object]:
        """Return the wire members for a SAL value; ValueError if it has the wrong length."""
        cdef tuple elements = tuple(value)
        cdef dict data = {}
        cdef Py_ssize_t i
        if len(elements) != self.num_elements:
            raise ValueError(
                f"{self.field_name}: expected {self.num_elements} elements, got {len(elements)}"
            )
        for i in range(self.num_elements):
            PyDict_SetItem(data, self.members[i], elements[i])
        return data


cdef class ScalarFunctor:
    """Convert between a scalar wire member and its SAL value, which are the same.

    Parameters
    ----------
    field_name : `str`
        Name of the SAL field.
    member : `str`, optional
        The wire member; of the same name by default.
    """

    __signature__ = make_signature({"field_name": str, "member": str | None})

    cdef readonly str field_name
    cdef readonly Py_ssize_t num_elements
    cdef readonly tuple members

    def __cinit__(self, field_name: str, member: str | None = None) -> None:
        self.field_name = field_name
        self.num_elements = 1
        self.members = (field_name if member is None else member,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.field_name!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.field_name, self.members[0])

    def sal_value_from_llv_dict(self, data_dict: Mapping[str, object]) -> object:
        """Return the member's value; KeyError if it is missing."""
        return data_dict[self.members[0]]

    def llv_dict_from_sal_value(self, value: object) -> dict[str, object]:
        """Return the wire member for a SAL value."""
        return {self.members[0]: value}
