"""What an encoder saw in released pictures, and which of them are nearest to a found one; needs pgvector.

Each model has an index of its own over its own rows (HNSW by cosine; Malkov and Yashunin, 2018; 16-bit floats), so
pictures that were seen by different models are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from services.core.errors import ConfigurationError
from services.core.store.database import Connection

Embedding = NDArray[np.float32]
"""A unit vector, (dimension,)."""

MOST_DIMENSIONS = 4000  # that pgvector indexes in 16 bits
# Of one family: pictures of one request, one made from the other, two made from the same.
_KIN = sql.SQL(
    "one.decision_id = other.decision_id OR one.image_id = ANY (other.parents) OR other.image_id = ANY (one.parents)"
    " OR one.parents && other.parents"
)
_NEIGHBOURS = 20  # among which one that is no kin is looked for


@dataclass(frozen=True, slots=True)
class Space:
    """Where embeddings may be compared: the model's digest (64 hex digits) and how many numbers it makes."""

    model: str
    dimension: int

    def _cast(self, column: sql.Composable) -> sql.Composed:
        return sql.SQL("({}::halfvec({}))").format(column, sql.Literal(self.dimension))

    @property
    def _mine(self) -> sql.Composed:
        """Literals, not parameters: Postgres takes a partial index only where it can see that this is its model."""
        return sql.SQL("seen.model = {}").format(sql.Literal(self.model))

    def _distance(self, to: sql.Composable) -> sql.Composed:
        return sql.SQL("{} <=> {}").format(self._cast(sql.SQL("seen.embedding")), self._cast(to))


async def prepare(conn: Connection, space: Space) -> None:
    """Makes the model's index, at first while it has no rows; ConfigurationError where Postgres lacks pgvector."""
    if space.dimension > MOST_DIMENSIONS:
        raise ConfigurationError(f"the encoder makes {space.dimension} numbers; at most {MOST_DIMENSIONS} are indexed")
    try:
        await conn.execute("SELECT prepare_image_embeddings(%s, %s)", [space.model, space.dimension])
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile, psycopg.errors.UndefinedObject) as error:
        raise ConfigurationError(
            "the registry's encoder needs pgvector 0.7 or later on the Postgres of PORTCULLIS_DSN; install it there,"
            " or leave PORTCULLIS_PROVENANCE_ENCODER empty",
            reason="NO_PGVECTOR",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "the registry's encoder needs pgvector: have an administrator run CREATE EXTENSION vector in this database",
            reason="NO_PGVECTOR",
        ) from error


async def add(conn: Connection, space: Space, image_id: UUID, embedding: Embedding) -> None:
    """Writes what was seen in a registered picture."""
    await conn.execute(
        "INSERT INTO image_embeddings (model, image_id, embedding) VALUES (%s, %s, %s)",
        [space.model, image_id, embedding.tolist()],
    )


async def nearest(conn: Connection, space: Space, embedding: Embedding, limit: int) -> list[tuple[UUID, float]]:
    """Up to `limit` ≤ 40 pictures of any tenant with their cosine similarity, most similar first; approximate."""
    asked = sql.SQL("{}::real[]").format(sql.Placeholder())
    query = sql.SQL("SELECT image_id, 1 - ({0}) FROM image_embeddings AS seen WHERE {1} ORDER BY {0} LIMIT {2}")
    numbers = embedding.tolist()
    cursor = await conn.execute(
        query.format(space._distance(asked), space._mine, sql.Literal(limit)), [numbers, numbers]
    )
    return [(image_id, float(similarity)) for image_id, similarity in await cursor.fetchall()]


async def between_strangers(conn: Connection, space: Space, pictures: int) -> list[float]:
    """For up to `pictures` registered ones, the similarity of each to its nearest other that is no kin, or above it.

    Those with the lowest ids are taken, and ids are random. Where all near ones are kin, it is that of the farthest.
    """
    query = sql.SQL(
        """
        SELECT 1 - coalesce(min(distance) FILTER (WHERE NOT kin), max(distance))
        FROM (
            SELECT image_id, embedding FROM image_embeddings AS seen WHERE {mine} ORDER BY image_id LIMIT {pictures}
        ) AS asked CROSS JOIN LATERAL (
            SELECT {kin} AS kin, distance
            FROM (
                SELECT seen.image_id, {distance} AS distance FROM image_embeddings AS seen WHERE {mine}
                ORDER BY {distance} LIMIT {neighbours}
            ) AS near
            JOIN images AS one ON one.image_id = asked.image_id
            JOIN images AS other ON other.image_id = near.image_id
            WHERE near.image_id <> asked.image_id
        ) AS neighbour
        GROUP BY asked.image_id
        """
    ).format(
        mine=space._mine,
        pictures=sql.Literal(pictures),
        kin=_KIN,
        distance=space._distance(sql.SQL("asked.embedding")),
        neighbours=sql.Literal(_NEIGHBOURS),
    )
    cursor = await conn.execute(query)
    return [float(similarity) for (similarity,) in await cursor.fetchall()]
