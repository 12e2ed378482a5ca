"""The one way to Postgres: pool, migrations, and one module per family of tables."""
