"""x"""
import click
@click.command("status")
def command() -> None:
    """x"""
