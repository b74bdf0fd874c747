"""`Note`: one thing about a signature that a person should know, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """What a note means for the signature."""

    CAUSE = "cause"
    """This is why it does not verify: with it undone, the figures fit."""
    SUSPECT = "suspect"
    """This may be why customs refuses it."""
    HARMLESS = "harmless"
    """It looks odd and changes nothing that is signed."""


class Topic(StrEnum):
    """What a note is about; programs may rely on these names."""

    WHITE_SPACE_AROUND_SIGNATURE = "white_space_around_signature"
    """Text around Signature was changed after signing."""
    WHITE_SPACE_BETWEEN_ELEMENTS = "white_space_between_elements"
    """The document was indented after signing."""
    NAMESPACE_DROPPED = "namespace_dropped"
    """The root lacks a declaration that it had when it was signed, or that accepted messages have."""
    NAMESPACE_ADDED = "namespace_added"
    """The root has a declaration that it did not have when it was signed."""
    LINE_ENDS = "line_ends"
    """Carriage returns."""
    ATTRIBUTE_ORDER = "attribute_order"
    """Attributes do not stand in canonical order."""
    NOT_CANONICAL = "not_canonical"
    """The digest was made over the text of the file."""
    DIGEST_ALGORITHM = "digest_algorithm"
    """The digest is by another algorithm than the one named, or than the suite demands."""
    OTHER_VENDOR = "other_vendor"
    """The SM2 URI of another vendor."""
    UNKNOWN_METHOD = "unknown_method"
    """A SignatureMethod of no suite."""
    DER_VALUE = "der_value"
    """SignatureValue in DER."""
    SIGNED_INFO_ALONE = "signed_info_alone"
    """SignedInfo was signed without the namespaces in scope, or in another canonical form."""
    SIGNED_INFO_CHANGED = "signed_info_changed"
    """The value is by the right key over another SignedInfo."""
    WRONG_CERTIFICATE = "wrong_certificate"
    """The certificate is not of the key that signed."""
    CONTENT_CHANGED = "content_changed"
    """None of the usual changes explains the digest."""
    KEY_NAME = "key_name"
    """KeyName is not the serial number as customs wants it."""
    VALIDITY = "validity"
    """The certificate is expired, or not valid yet."""
    POSITION = "position"
    """The signature does not stand where the schema has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One of them."""

    weight: Weight
    topic: Topic
    text: str
