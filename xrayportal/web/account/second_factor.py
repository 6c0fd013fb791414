"""The page on which a person sets up, changes and removes their second factor: an app, passkeys, codes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import segno
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from xrayportal.clinics import passkeys
from xrayportal.clinics import second_factor as factors
from xrayportal.clinics.actors import actor_of, person_of
from xrayportal.clinics.models import Passkey
from xrayportal.clinics.sessions import end_other_sessions, note_proof
from xrayportal.clinics.sign_in import code_turn, turn
from xrayportal.security import wants_json
from xrayportal.web.account.forms import NewAppForm, PasskeyForm, PresentPasswordForm, ProofForm
from xrayportal.web.shared.fields import REFUSED
from xrayportal.words.browsers import browser_words

View = Callable[..., HttpResponse]

#: After a proof, the second factor can be changed in that browser for so long.
OPEN_SECONDS = 300
#: In a session: until when.
_OPEN_UNTIL = "second_factor_open_until"
#: In a session: the person may see the secret of the app that they set up.
_SETTING_UP = "second_factor_setup"


@never_cache
@require_safe
def second_factor(request: HttpRequest) -> HttpResponse:
    """The page: what the person has, and, once they have shown who they are, what changes it."""
    return _page(request)


@sensitive_post_parameters("password", "code", "passkey")
@require_POST
def open_changes(request: HttpRequest) -> HttpResponse:
    """Let this browser change the second factor for a while, after a proof, or the password where none is on.

    Having signed in is not enough: whoever finds an open browser locks nobody out and takes nothing away.
    """
    user = person_of(request)
    kind = ProofForm if user.second_factor_since is not None else PresentPasswordForm
    with turn(user.email, request), code_turn(user):
        form = kind(request.POST, user=user, request=request)
        if not form.is_valid():
            return _page(request, opening=form)
    request.session[_OPEN_UNTIL] = timezone.now().timestamp() + OPEN_SECONDS
    return redirect("second-factor")


def changes(view: View) -> View:
    """Decorator for a form of the open page, which is led back to the closed one once its time is over."""

    @never_cache
    @require_POST
    @functools.wraps(view)
    def wrapper(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if is_open(request):
            return view(request, **kwargs)
        sentence = _("Nothing was changed: too much time has passed. Confirm once more that it is you.")
        if wants_json(request):
            return JsonResponse({"sentence": sentence}, status=403)
        messages.info(request, sentence)
        return redirect("second-factor")

    return wrapper


def is_open(request: HttpRequest) -> bool:
    """Whether this browser may change the person's second factor now."""
    until: float = request.session.get(_OPEN_UNTIL, 0)
    return timezone.now().timestamp() < until


@changes
def begin(request: HttpRequest) -> HttpResponse:
    """Make a secret for an app."""
    user = person_of(request)
    if factors.app_since(user) is None:
        factors.begin(user)
        request.session[_SETTING_UP] = True
    return redirect("second-factor")


@changes
def confirm(request: HttpRequest) -> HttpResponse:
    """Put the app in use with its first code; with the first factor, show the recovery codes, this once."""
    user = person_of(request)
    if not request.session.get(_SETTING_UP):
        return redirect("second-factor")
    form = NewAppForm(request.POST)
    codes = None
    if form.is_valid():
        codes = factors.confirm(user, form.cleaned_data["code"], actor=actor_of(request))
        if codes is None:
            form.add_error("code", _("This is not the code that the app shows. Check the phone's clock."))
    if codes is None:
        return _page(request, app_form=form)
    del request.session[_SETTING_UP]
    return _added(request, codes)


@changes
def passkey_options(request: HttpRequest) -> HttpResponse:
    """What the browser needs to make a passkey, with a challenge for `passkey_add`."""
    if not passkeys.domain_of(request):
        return JsonResponse(
            {"sentence": _("Passkeys need a name in the address bar, not a number.")}, status=400
        )
    return JsonResponse(passkeys.creation_options(request, person_of(request)))


@changes
def passkey_add(request: HttpRequest) -> HttpResponse:
    """Keep the passkey that the browser made; with the first factor, show the recovery codes, this once."""
    user = person_of(request)
    form = PasskeyForm(request.POST)
    if not form.is_valid():
        return _page(request, passkey_form=form)
    try:
        codes = passkeys.add(
            request, user, name=form.cleaned_data["name"], answer=form.cleaned_data["passkey"]
        )
    except passkeys.PasskeyRefused:
        form.add_error("name", _("The passkey was not accepted. Try again, or use another device."))
        return _page(request, passkey_form=form)
    return _added(request, codes)


@changes
def passkey_remove(request: HttpRequest, passkey: int) -> HttpResponse:
    """Take one passkey away, unless it is the last factor of a person who must have one."""
    try:
        is_last = passkeys.remove_passkey(request, person_of(request), passkey)
    except Passkey.DoesNotExist:
        raise Http404("Not found.") from None
    except factors.LastFactorError:
        return redirect("second-factor")
    return _removed(request, is_last=is_last)


@changes
def app_remove(request: HttpRequest) -> HttpResponse:
    """Take the app away, or give its set-up up, unless it is the last factor of who must have one."""
    user = person_of(request)
    if request.session.pop(_SETTING_UP, False):  # it was never in use
        return redirect("second-factor")
    try:
        is_last = factors.remove_app(user, actor=actor_of(request))
    except (factors.LastFactorError, ValueError):
        return redirect("second-factor")
    return _removed(request, is_last=is_last)


@changes
def renew_codes(request: HttpRequest) -> HttpResponse:
    """Make new recovery codes, and show them, this once."""
    user = person_of(request)
    if user.second_factor_since is None:
        return redirect("second-factor")
    return _page(request, codes=factors.renew_recovery_codes(user, actor=actor_of(request)))


@changes
def remove(request: HttpRequest) -> HttpResponse:
    """Turn the second factor off, unless the person must have one."""
    user = person_of(request)
    if user.second_factor_since is None:
        return redirect("second-factor")
    try:
        factors.remove_last(user, actor=actor_of(request))
    except factors.LastFactorError:
        return redirect("second-factor")
    return _removed(request, is_last=True)


def _added(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """The page after another factor: with the first, other sessions end and there are recovery codes."""
    user = person_of(request)
    if codes:
        note_proof(request, user)
        request.session.cycle_key()
        end_other_sessions(request, user)
        return _page(request, codes=codes)
    messages.success(request, _("Added. From now on it signs you in as well."))
    return redirect("second-factor")


def _removed(request: HttpRequest, *, is_last: bool) -> HttpResponse:
    """The page after a factor went, which somebody else may have: other sessions end."""
    end_other_sessions(request, person_of(request))
    if is_last:
        messages.success(request, _("The second factor is off. Your password alone signs you in."))
    else:
        messages.success(request, _("Removed. Other devices are signed out."))
    return redirect("second-factor")


def _page(
    request: HttpRequest,
    *,
    opening: PresentPasswordForm | ProofForm | None = None,
    app_form: NewAppForm | None = None,
    passkey_form: PasskeyForm | None = None,
    codes: list[str] | None = None,
) -> HttpResponse:
    user = person_of(request)
    is_on = user.second_factor_since is not None
    context: dict[str, Any] = {
        "codes": codes,
        "is_on": is_on,
        "is_open": is_open(request),
        "is_required": factors.is_required(user),
        "app_since": factors.app_since(user),
        "passkeys": user.passkeys.all(),
        "left": factors.recovery_codes_left(user),
    }
    context["ways"] = len(context["passkeys"]) + (context["app_since"] is not None)
    if not context["is_open"]:
        kind = ProofForm if is_on else PresentPasswordForm
        context["opening"] = opening or kind(user=user, request=request)
    elif request.session.get(_SETTING_UP) and (secret := factors.app_secret(user)):
        context["app_form"] = app_form or NewAppForm()
        context["secret"] = " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))
        picture = segno.make(factors.app_address(user, secret), error="m", micro=False)
        context["picture"] = picture.svg_data_uri(scale=5, border=4, dark="#000", light="#fff")
    else:
        context["passkey_form"] = passkey_form or PasskeyForm(
            initial={"name": browser_words(request.headers.get("User-Agent", ""))}
        )
        context["domain"] = passkeys.domain_of(request)
    refused = any(form is not None for form in (opening, app_form, passkey_form))
    return render(request, "account/second_factor.html", context, status=REFUSED if refused else 200)
