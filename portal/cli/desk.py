"""Commands on the desk: give and take the staff role."""

from __future__ import annotations

import click

from portal import clock
from portal.cli.groups import Group
from portal.domain import desk, second_factor, signin, values
from portal.extensions import transaction

group = Group("desk", help="Who works at the desk.")


@group.command("add")
@click.argument("email")
def add(email: str) -> None:
    """Give EMAIL the staff role; mail the activation link if there is no password yet."""
    try:
        address = values.email(email)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with transaction():
        desk.add(address, now=clock.now())
    click.echo(f"{address} works at the desk.", err=True)


@group.command("forget-second-factor")
@click.argument("email")
def forget_second_factor(email: str) -> None:
    """Remove the second step of EMAIL's sign-in, who lost telephone and codes; they are told, and signed out."""
    with transaction():
        account = signin.find_account(email)
        known = account is not None and account.second_since is not None
        if account is not None and known:
            second_factor.forget(account, now=clock.now())
    if not known:
        click.echo(f"{email} has no second step.", err=True)
        raise SystemExit(3)
    click.echo(f"{email} signs in with the password alone, until the second step is set up again.", err=True)


@group.command("remove")
@click.argument("email")
def remove(email: str) -> None:
    """Take the staff role from EMAIL; its sign-ins end at once."""
    with transaction():
        removed = desk.remove(email)
    if not removed:
        click.echo(f"{email} does not work at the desk.", err=True)
        raise SystemExit(3)
    click.echo(f"{email} no longer works at the desk.", err=True)
