"""The code after the password, and the page on which a person sets up or removes their second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import segno
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe
from django.views.generic import FormView

from xrayportal.clinics import second_factor as factors
from xrayportal.clinics.actors import actor_of, person_of
from xrayportal.clinics.sessions import end_other_sessions, note_proof
from xrayportal.clinics.sign_in import code_turn, pass_code, pending_user, turn
from xrayportal.web.account.forms import CodeForm, NewAppForm, PresentPasswordForm

if TYPE_CHECKING:  # generic for the type checker only
    FormViewOfCode = FormView[CodeForm]
else:
    FormViewOfCode = FormView

REFUSED = 422
#: In a session that gave the password for it: the person may see the secret of the app that they set up.
_SETTING_UP = "second_factor_setup"


@method_decorator([login_not_required, never_cache, sensitive_post_parameters("code")], name="dispatch")
class CodeView(RedirectURLMixin, FormViewOfCode):
    """The code after the password. Attempts on one account take turns, so that all guesses are counted."""

    template_name = "account/sign_in_code.html"
    form_class = CodeForm
    next_page = "home"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Lead to the sign-in page whoever has given no password, or too long ago."""
        self.user = pending_user(request)
        if self.user is None:
            return redirect(
                "home" if request.method == "GET" and request.user.is_authenticated else "sign-in"
            )
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check and record the attempt in one transaction."""
        assert self.user is not None  # noqa: S101  # dispatch has seen to it
        with code_turn(self.user):
            return super().post(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form's arguments, with the person and the request, whose address is throttled."""
        return {**super().get_form_kwargs(), "user": self.user, "request": self.request}

    def get_form(self, form_class: type[CodeForm] | None = None) -> CodeForm:
        """The form, whose one field has the focus."""
        form = super().get_form(form_class)
        form.fields["code"].widget.attrs["autofocus"] = True
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With who signs in, and where that leads."""
        return {**super().get_context_data(**kwargs), "person": self.user, "next": self.get_redirect_url()}

    def form_valid(self, form: CodeForm) -> HttpResponse:
        """Sign in; say how many recovery codes are left once they become few."""
        pass_code(self.request, form.user)
        left = factors.recovery_codes_left(form.user)
        if left <= 3:
            sentence = ngettext(
                "You have %(left)d recovery code left. Make new ones on the page “Second factor”.",
                "You have %(left)d recovery codes left. Make new ones on the page “Second factor”.",
                left,
            )
            messages.warning(self.request, sentence % {"left": left})
        # No ``redirect``: that would take the text for the name of a view.
        return HttpResponseRedirect(self.get_success_url())


@never_cache
@require_safe
def second_factor(request: HttpRequest) -> HttpResponse:
    """The page: begin, finish or change the set-up of an authenticator app."""
    return _page(request)


@sensitive_post_parameters("password")
@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """Make a secret for the app, after the password: whoever finds an open browser locks nobody out."""
    user = person_of(request)
    if user.second_factor_since is not None:
        return redirect("second-factor")
    with turn(user.email, request):
        form = PresentPasswordForm(request.POST, user=user, request=request)
        if not form.is_valid():
            return _page(request, password_form=form)
        factors.begin(user)
    request.session[_SETTING_UP] = True
    return redirect("second-factor")


@never_cache
@require_POST
def confirm(request: HttpRequest) -> HttpResponse:
    """Put the app in use with its first code, and show the recovery codes, this once."""
    user = person_of(request)
    if user.second_factor_since is not None or not request.session.get(_SETTING_UP):
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
    note_proof(request, user)
    request.session.cycle_key()
    end_other_sessions(request, user)
    return _page(request, codes=codes)


@never_cache
@require_POST
def renew_codes(request: HttpRequest) -> HttpResponse:
    """Make new recovery codes after a code, and show them, this once."""
    user = person_of(request)
    with code_turn(user):
        form = CodeForm(request.POST, user=user, request=request)
        if not form.is_valid():
            return _page(request, code_form=form)
        codes = factors.renew_recovery_codes(user, actor=actor_of(request))
    return _page(request, codes=codes)


@never_cache
@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    """Turn the second factor off after a code, unless the person must have one."""
    user = person_of(request)
    if factors.is_required(user):
        return redirect("second-factor")
    with code_turn(user):
        form = CodeForm(request.POST, user=user, request=request)
        if not form.is_valid():
            return _page(request, code_form=form)
        factors.remove(user, actor=actor_of(request))
    messages.success(request, _("The second factor is off. Your password alone signs you in."))
    return redirect("second-factor")


def _page(
    request: HttpRequest,
    *,
    password_form: PresentPasswordForm | None = None,
    app_form: NewAppForm | None = None,
    code_form: CodeForm | None = None,
    codes: list[str] | None = None,
) -> HttpResponse:
    user = person_of(request)
    context: dict[str, Any] = {"codes": codes, "is_required": factors.is_required(user)}
    if user.second_factor_since is not None:
        context["code_form"] = code_form or CodeForm(user=user, request=request)
        context["left"] = factors.recovery_codes_left(user)
    elif request.session.get(_SETTING_UP) and (secret := factors.app_secret(user)):
        context["app_form"] = app_form or NewAppForm()
        context["secret"] = " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))
        picture = segno.make(factors.app_address(user, secret), error="m", micro=False)
        context["picture"] = picture.svg_data_uri(scale=5, border=4, dark="#000", light="#fff")
    else:
        context["password_form"] = password_form or PresentPasswordForm(user=user, request=request)
    refused = any(form is not None for form in (password_form, app_form, code_form))
    return render(request, "account/second_factor.html", context, status=REFUSED if refused else 200)
