"""x"""
import click
@click.command("schema")
def command() -> None:
    """x"""
